// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/waiting_line.hpp"

#include <boost/asio/error.hpp>
#include <conn_grpc/error.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Those who wait until there are enough channels. Thread-safe. Each is completed exactly once.
///
/// No wake-up is lost: who comes looks for an answer, and joins the line, under the mutex; who publishes a channel
/// takes the mutex afterwards to serve the line. Either the one sees the channel, or the other sees the waiter.
///
/// First come, first served: answers are given under the mutex, in the order of tickets. They are told without it,
/// since telling may call the user's code, but by one thread at a time, and newcomers who need not wait queue behind
/// those who are still being told. Behind those who waited, always; behind other newcomers, only so many: if they came
/// faster than they can be told, they would keep that thread for ever.
///
/// @tparam Waiter has `complete(Answer)`.
/// @tparam Answer made of an error_code, or of what `serve` gives.
template <class Waiter, class Answer, class TimePoint>
class waiting_room {
 public:
  using ticket = std::uint64_t;

  struct arrival {
    std::optional<Answer> answer;  // null when it will be completed
    bool expires_first = false;    // of all who wait
  };

  /// @param limit how many may wait; 0: any number.
  /// @param newcomers how many may queue behind one another while others are being told.
  explicit waiting_room(std::size_t limit = 0, std::size_t newcomers = 10'000)
      : limit_(limit), most_newcomers_(newcomers) {}

  /// @param mine nobody else's; for `cancel`, and in the order of coming.
  /// @param ask called under the mutex with whether others wait: the answer, or null when it has to wait.
  template <class Ask>
  arrival join(ticket mine, Waiter joining, TimePoint deadline, Ask ask) {
    const std::lock_guard lock(mutex_);
    if (std::optional<Answer> answer = ask(!line_.empty())) {
      if (!others_are_first()) return {std::move(answer)};
      untold_.emplace_back(std::move(joining), *std::move(answer));
      ++newcomers_;
      note_anyone();
      return {};
    }
    if (limit_ != 0 && line_.size() >= limit_) return {make_error_code(errc::too_many_waiters)};
    const auto earliest = line_.next_deadline().value_or((TimePoint::max)());
    line_.join(mine, std::move(joining), deadline);
    anyone_.store(true, std::memory_order_relaxed);  // by this thread, before it returns
    return {std::nullopt, deadline < earliest};
  }

  /// Does anyone wait, or is anyone being told before whom a newcomer must not be?
  [[nodiscard]] bool anyone() const noexcept { return anyone_.load(std::memory_order_acquire); }

  /// After a channel was published: all, or those that are content with what there is now.
  /// @param give called under the mutex, once for each of them.
  template <class Give>
  void serve(Give give) {
    end_waiting([](line& l) { return l.leave_all(); }, give);
  }
  template <class Give, std::predicate<const Waiter&> IsContent>
  void serve(Give give, IsContent is_content) {
    end_waiting([&](line& l) { return l.leave_if(is_content); }, give);
  }

  void dismiss(error_code why) {
    serve([=] { return why; });
  }

  /// With operation_aborted, if it still waits.
  void cancel(ticket which) {
    end_waiting([=](line& l) { return l.leave(which); },
                [] { return error_code(boost::asio::error::operation_aborted); });
  }

  /// Those whose deadline has come.
  /// @return the next deadline; null when nobody waits.
  std::optional<TimePoint> expire(TimePoint now, error_code why) {
    end_waiting([=](line& l) { return l.leave_expired(now); }, [=] { return why; });
    const std::lock_guard lock(mutex_);
    return line_.next_deadline();
  }

 private:
  using line = core::waiting_line<Waiter, TimePoint>;
  using answered = std::vector<std::pair<Waiter, Answer>>;

  // Who left the line and was not told would wait for ever: rather than that, terminates.
  template <class Leave, class Give>
  void end_waiting(Leave leave, Give give) noexcept {
    std::unique_lock lock(mutex_);
    for (auto& w : leave(line_)) {
      untold_.emplace_back(std::move(w), give());
      ++waited_;
    }
    if (std::exchange(telling_, true)) return;  // who is telling goes on with these
    newcomers_ = 0;
    while (!untold_.empty()) {
      answered now = std::exchange(untold_, {});
      const auto waited = waited_;  // all of them are among these
      lock.unlock();
      for (auto& [told, answer] : now) told.complete(std::move(answer));
      now.clear();  // without the mutex, too: what a waiter held may be the user's
      lock.lock();
      waited_ -= waited;
      note_anyone();
    }
    telling_ = false;
    note_anyone();
  }

  [[nodiscard]] bool others_are_first() const { return telling_ && (waited_ > 0 || newcomers_ < most_newcomers_); }

  // Release: who finds nobody comes after those have been told whom it must not overtake.
  void note_anyone() { anyone_.store(!line_.empty() || others_are_first(), std::memory_order_release); }

  const std::size_t limit_;
  const std::size_t most_newcomers_;
  std::mutex mutex_;
  std::atomic<bool> anyone_{false};  // written with the mutex held
  line line_;
  answered untold_;  // they have left the line, or never stood in it
  bool telling_ = false;
  std::size_t waited_ = 0;     // of those who are yet to be told, how many stood in the line
  std::size_t newcomers_ = 0;  // who never did, since this telling began
};

}  // namespace conn_grpc::runtime
