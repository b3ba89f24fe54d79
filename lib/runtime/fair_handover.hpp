// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/wait_queue.hpp"

#include <boost/asio/error.hpp>
#include <conn_grpc/error.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Decides the answer to a waiter. Called under the waiting room's mutex. Does not throw.
template <class T, class Waiter>
concept handover_policy = requires(T policy, const Waiter& waiter) {
  { policy.answer(waiter) } -> std::same_as<std::optional<typename T::answer_type>>;  // null: it has to wait
  { policy.has_answer(waiter) } -> std::same_as<bool>;                                // true if there would be one
  { T::all_alike } -> std::convertible_to<bool>;  // where one has to wait, so has each behind it
};

struct handover_limits {
  std::size_t waiters = 0;         // how many may wait; 0: any number
  std::size_t newcomers = 10'000;  // how many may queue behind one another while answers are being delivered
  std::size_t slice = 256;         // how many answers a thread delivers before it leaves the rest to the strand
};

/// Waiters until the policy has an answer for them. Thread-safe. Each is completed exactly once.
///
/// No wake-up is lost: a newcomer asks for an answer, and joins the line, under the mutex; a publisher calls `serve()`
/// afterwards, which takes the mutex. Either the newcomer sees the channel, or the publisher sees the waiter.
///
/// First come, first served: answers are given under the mutex, in the order of tickets. They are delivered without it,
/// since a completion may call the user's code, but by one thread at a time. Meanwhile newcomers that need not wait
/// join the line, too. Behind waiters that had to wait this has no limit. Behind other newcomers it has: otherwise
/// callers that return faster than they are served would keep the line busy for ever.
///
/// In slices: a thread delivers a limited number of answers. The rest stays in the line until `deliver_slice()`, which
/// the owner calls on the strand.
///
/// @tparam Waiter has `complete(answer_type)`.
template <class Waiter, handover_policy<Waiter> Policy, class TimePoint>
class fair_handover {
 public:
  using ticket = std::uint64_t;
  using answer_type = typename Policy::answer_type;

  struct arrival {
    std::optional<answer_type> answer;  // null when it will be completed
    bool expires_first = false;         // of all that wait
  };

  /// @param leave_rest called without the mutex by a thread that has delivered a slice and leaves a rest: has
  /// `deliver_slice()` called until that returns false.
  fair_handover(Policy policy, std::function<void()> leave_rest, handover_limits limits = {})
      : policy_(std::move(policy)), leave_rest_(std::move(leave_rest)), limits_(limits) {}

  /// @param mine unique; for `cancel`, and for the order.
  arrival join(ticket mine, Waiter joining, TimePoint deadline) {
    const std::lock_guard lock(mutex_);
    if (!others_are_first())
      if (auto answer = policy_.answer(joining)) return {std::move(answer)};
    if (is_delivering() && policy_.has_answer(joining)) {
      ++newcomers_;
      if (Policy::all_alike && next_ == none) begin_pass();  // those before it have one, too
      next_ = (std::min)(next_, mine);
    } else if (limits_.waiters != 0 && line_.size() >= limits_.waiters) {
      return {make_error_code(errc::too_many_waiters)};
    }
    const auto earliest = line_.next_deadline().value_or((TimePoint::max)());
    line_.join(mine, std::move(joining), deadline);
    anyone_.store(true, std::memory_order_relaxed);  // by this thread, before it returns
    return {std::nullopt, deadline < earliest};
  }

  /// True while callers are queued, or while earlier callers are still being completed and a newcomer must queue behind
  /// them.
  [[nodiscard]] bool anyone() const noexcept { return anyone_.load(std::memory_order_acquire); }

  /// After the policy's answers may have changed: completes each waiter that has one.
  void serve() noexcept {
    std::unique_lock lock(mutex_);
    if (line_.empty()) return;
    begin_pass();
    deliver(lock);
  }

  /// Ends the waiting with operation_aborted, if it still waits.
  void cancel(ticket which) noexcept {
    std::unique_lock lock(mutex_);
    auto left = line_.leave(which);
    if (!left) return;
    undelivered_.emplace_back(*std::move(left), error_code(boost::asio::error::operation_aborted));
    deliver(lock);
  }

  /// Ends the waiting of a slice of the waiters whose deadline has come.
  /// @return the next deadline, which has come when there are more; null when none waits.
  std::optional<TimePoint> expire(TimePoint now, error_code why) noexcept {
    std::unique_lock lock(mutex_);
    for (std::size_t i = 0; i < limits_.slice; ++i) {
      auto expired = line_.leave_expired(now);
      if (!expired) break;
      undelivered_.emplace_back(*std::move(expired), why);
    }
    const auto next = line_.next_deadline();
    deliver(lock);
    return next;
  }

  /// Delivers a slice of what another thread has left, if one has.
  /// @return true when there is more. If not, it need not be called again unless `leave_rest` is.
  bool deliver_slice() noexcept {
    std::unique_lock lock(mutex_);
    if (delivery_ == delivery::left) go_on(lock);
    return rest_is_promised_ = delivery_ == delivery::left;
  }

  /// True while answers are being delivered, or are left to be.
  [[nodiscard]] bool delivering() {
    const std::lock_guard lock(mutex_);
    return is_delivering();
  }

 private:
  enum class delivery { idle, under_way, left };
  using hand = std::vector<std::pair<Waiter, answer_type>>;
  static constexpr auto none = (std::numeric_limits<ticket>::max)();

  // The policy is asked again for all waiters in the line, from the first on.
  void begin_pass() {
    if (line_.empty()) return;
    next_ = 0;
    waited_until_ = line_.last();
  }

  // A waiter that left the line and is not completed would wait for ever: rather than that, terminates without memory.
  void deliver(std::unique_lock<std::mutex>& lock) noexcept {
    if (delivery_ == delivery::under_way) return note_anyone();  // that thread delivers these, too
    if (delivery_ == delivery::idle) newcomers_ = 0;
    go_on(lock);
    if (delivery_ != delivery::left || std::exchange(rest_is_promised_, true)) return;
    lock.unlock();
    leave_rest_();
  }

  void go_on(std::unique_lock<std::mutex>& lock) noexcept {
    delivery_ = delivery::under_way;
    std::size_t budget = limits_.slice;
    while (budget > 0 && !is_done()) {
      hand now = take(budget);
      note_anyone();
      lock.unlock();
      for (auto& [waiter, answer] : now) waiter.complete(std::move(answer));
      now.clear();  // without the mutex, too: what a waiter held may be the user's
      lock.lock();
      has_waiters_in_hand_ = false;
    }
    delivery_ = is_done() ? delivery::idle : delivery::left;
    note_anyone();
  }

  // First the waiters that have left the line, then, in order, those in the line that have an answer.
  hand take(std::size_t& budget) {
    hand taken;
    taken.reserve((std::min)(budget, undelivered_.size() + (next_ == none ? 0 : line_.size())));
    for (; budget > 0 && !undelivered_.empty(); --budget) {
      taken.push_back(std::move(undelivered_.front()));
      undelivered_.pop_front();
    }
    has_waiters_in_hand_ = !taken.empty() || next_ <= waited_until_;
    if (next_ == none) return taken;
    auto at = line_.from(next_);
    for (; budget > 0 && at != line_.end(); --budget) {
      auto answer = policy_.answer(line_.waiter_at(at));
      if (answer)
        taken.emplace_back(line_.leave_at(at), *std::move(answer));
      else if (Policy::all_alike)
        at = line_.end();
      else
        ++at;
    }
    next_ = at == line_.end() ? none : at->first;
    return taken;
  }

  [[nodiscard]] bool is_delivering() const { return delivery_ != delivery::idle; }
  [[nodiscard]] bool is_done() const { return undelivered_.empty() && next_ == none; }

  [[nodiscard]] bool others_are_first() const {
    if (!is_delivering()) return Policy::all_alike && !line_.empty();
    const bool have_waited = has_waiters_in_hand_ || !undelivered_.empty() || next_ <= waited_until_;
    return have_waited || newcomers_ < limits_.newcomers;
  }

  // Release: a caller that finds none comes after the completion of those that it must not overtake.
  void note_anyone() { anyone_.store(!line_.empty() || others_are_first(), std::memory_order_release); }

  Policy policy_;
  const std::function<void()> leave_rest_;
  const handover_limits limits_;
  std::mutex mutex_;
  std::atomic<bool> anyone_{false};  // written with the mutex held
  core::wait_queue<Waiter, TimePoint> line_;
  std::deque<std::pair<Waiter, answer_type>> undelivered_;  // they have left the line: cancelled or expired
  delivery delivery_ = delivery::idle;
  bool rest_is_promised_ = false;     // that `deliver_slice()` will be called
  ticket next_ = none;                // from here on the line may have answers; `none`: it has none
  ticket waited_until_ = 0;           // those up to here had to wait, those behind are newcomers
  bool has_waiters_in_hand_ = false;  // true while one that had to wait is being completed
  std::size_t newcomers_ = 0;         // that have joined since this delivery began
};

}  // namespace conn_grpc::runtime
