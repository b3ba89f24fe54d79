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

/// Decides the answer to a waiter. Called with the mutex of the `fair_handover` held.
/// Must not throw.
template <class T, class Waiter>
concept handover_policy = requires(T policy, const Waiter& waiter) {
  { policy.answer(waiter) } -> std::same_as<std::optional<typename T::answer_type>>;  // null: it has to wait
  { policy.has_answer(waiter) } -> std::same_as<bool>;                                // true if `answer` would give one
  { T::all_alike } -> std::convertible_to<bool>;  // true if each waiter behind one that has to wait has to wait, too
};

struct handover_limits {
  std::size_t waiters = 0;         // how many may wait; 0: any number
  std::size_t newcomers = 10'000;  // how many may queue behind one another while answers are being delivered
  std::size_t slice = 256;         // how many answers a thread delivers before it leaves the rest to the strand
};

/// Waiters, until the policy has an answer for them. Thread-safe. Each waiter is
/// completed exactly once.
///
/// No wake-up is lost. A newcomer asks the policy and joins the queue under the mutex. A
/// publisher calls `serve()` after it has published, and `serve()` takes the mutex. So
/// either the newcomer finds the channel, or the publisher finds the waiter.
///
/// First come, first served. Answers are given under the mutex, in the order of tickets.
/// They are delivered without the mutex, because a completion may call the user's code,
/// but by one thread at a time. Meanwhile newcomers that need not wait join the queue,
/// too. Behind waiters that had to wait, any number of newcomers may join. Behind other
/// newcomers the number is limited. Otherwise callers that return faster than they are
/// served would keep the queue busy for ever.
///
/// In slices. A thread delivers a limited number of answers. The rest stays in the queue
/// until `deliver_slice()`, which the owner calls on the strand.
///
/// @tparam Waiter has `complete(answer_type)`.
template <class Waiter, handover_policy<Waiter> Policy, class TimePoint>
class fair_handover {
 public:
  using ticket = std::uint64_t;
  using answer_type = typename Policy::answer_type;

  struct arrival {
    std::optional<answer_type> answer;  // null when the waiter will be completed
    bool expires_first = false;         // its deadline is the earliest of all waiters
  };

  /// @param leave_rest called without the mutex, by a thread that has delivered a slice
  /// and leaves a rest. It must have `deliver_slice()` called until that returns false.
  fair_handover(Policy policy, std::function<void()> leave_rest, handover_limits limits = {})
      : policy_(std::move(policy)), leave_rest_(std::move(leave_rest)), limits_(limits) {}

  /// @param mine a unique ticket, for `cancel` and for the order.
  arrival join(ticket mine, Waiter joining, TimePoint deadline) {
    const std::lock_guard lock(mutex_);
    if (!must_follow_others())
      if (auto answer = policy_.answer(joining)) return {std::move(answer)};
    if (is_delivering() && policy_.has_answer(joining)) {
      ++newcomers_;
      if (Policy::all_alike && next_ == no_ticket) begin_pass();  // the waiters before it have an answer, too
      next_ = (std::min)(next_, mine);
    } else if (limits_.waiters != 0 && queue_.size() >= limits_.waiters) {
      return {make_error_code(errc::too_many_waiters)};
    }
    const auto earliest = queue_.next_deadline().value_or((TimePoint::max)());
    queue_.join(mine, std::move(joining), deadline);
    must_queue_.store(true, std::memory_order_relaxed);  // relaxed: this thread's own next call sees it
    return {std::nullopt, deadline < earliest};
  }

  /// True while callers are queued, or while earlier callers are still being completed
  /// and a newcomer must queue behind them.
  [[nodiscard]] bool must_queue() const noexcept { return must_queue_.load(std::memory_order_acquire); }

  /// Completes each waiter that has an answer. Call it after the policy's answers may
  /// have changed.
  void serve() noexcept {
    std::unique_lock lock(mutex_);
    if (queue_.empty()) return;
    begin_pass();
    deliver(lock);
  }

  /// Completes the waiter with operation_aborted, if it still waits.
  void cancel(ticket which) noexcept {
    std::unique_lock lock(mutex_);
    auto left = queue_.leave(which);
    if (!left) return;
    undelivered_.emplace_back(*std::move(left), error_code(boost::asio::error::operation_aborted));
    deliver(lock);
  }

  /// Completes a slice of the waiters whose deadline has come.
  /// @return the next deadline, which has already come when more of them are left. Null
  /// when there are no waiters.
  std::optional<TimePoint> expire(TimePoint now, error_code why) noexcept {
    std::unique_lock lock(mutex_);
    for (std::size_t i = 0; i < limits_.slice; ++i) {
      auto expired = queue_.leave_expired(now);
      if (!expired) break;
      undelivered_.emplace_back(*std::move(expired), why);
    }
    const auto next = queue_.next_deadline();
    deliver(lock);
    return next;
  }

  /// Delivers a slice of what another thread has left, if anything is left.
  /// @return true when there is more. If not, it need not be called again unless
  /// `leave_rest` is called.
  bool deliver_slice() noexcept {
    std::unique_lock lock(mutex_);
    if (delivery_ == delivery::left) go_on(lock);
    return rest_is_promised_ = delivery_ == delivery::left;
  }

  /// How many wait.
  [[nodiscard]] std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
  }

  /// True while answers are being delivered, or are still to be delivered.
  [[nodiscard]] bool delivering() {
    const std::lock_guard lock(mutex_);
    return is_delivering();
  }

 private:
  enum class delivery { idle, under_way, left };
  using batch = std::vector<std::pair<Waiter, answer_type>>;
  static constexpr auto no_ticket = (std::numeric_limits<ticket>::max)();

  // Asks the policy again for all waiters in the queue, from the first on.
  void begin_pass() {
    if (queue_.empty()) return;
    next_ = 0;
    last_waiter_ = queue_.last();
  }

  // A waiter that has left the queue and is not completed would wait for ever. So this
  // terminates when there is no memory.
  void deliver(std::unique_lock<std::mutex>& lock) noexcept {
    if (delivery_ == delivery::under_way) return update_must_queue();  // that thread delivers these, too
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
      batch now = take(budget);
      update_must_queue();
      lock.unlock();
      for (auto& [waiter, answer] : now) waiter.complete(std::move(answer));
      now.clear();  // also without the mutex: a waiter may hold objects of the user's
      lock.lock();
      is_completing_waiters_ = false;
    }
    delivery_ = is_done() ? delivery::idle : delivery::left;
    update_must_queue();
  }

  // Takes first the waiters that have left the queue, then in order those in the queue
  // that have an answer.
  batch take(std::size_t& budget) {
    batch taken;
    taken.reserve((std::min)(budget, undelivered_.size() + (next_ == no_ticket ? 0 : queue_.size())));
    for (; budget > 0 && !undelivered_.empty(); --budget) {
      taken.push_back(std::move(undelivered_.front()));
      undelivered_.pop_front();
    }
    is_completing_waiters_ = !taken.empty() || next_ <= last_waiter_;
    if (next_ == no_ticket) return taken;
    auto at = queue_.from(next_);
    for (; budget > 0 && at != queue_.end(); --budget) {
      auto answer = policy_.answer(queue_.waiter_at(at));
      if (answer)
        taken.emplace_back(queue_.leave_at(at), *std::move(answer));
      else if (Policy::all_alike)
        at = queue_.end();
      else
        ++at;
    }
    next_ = at == queue_.end() ? no_ticket : at->first;
    return taken;
  }

  [[nodiscard]] bool is_delivering() const { return delivery_ != delivery::idle; }
  [[nodiscard]] bool is_done() const { return undelivered_.empty() && next_ == no_ticket; }

  [[nodiscard]] bool must_follow_others() const {
    if (!is_delivering()) return Policy::all_alike && !queue_.empty();
    const bool waiters_are_first = is_completing_waiters_ || !undelivered_.empty() || next_ <= last_waiter_;
    return waiters_are_first || newcomers_ < limits_.newcomers;
  }

  // Release: a caller that reads false comes after the completion of the callers that it
  // must not overtake.
  void update_must_queue() { must_queue_.store(!queue_.empty() || must_follow_others(), std::memory_order_release); }

  Policy policy_;
  const std::function<void()> leave_rest_;
  const handover_limits limits_;
  mutable std::mutex mutex_;
  std::atomic<bool> must_queue_{false};  // written with the mutex held
  core::wait_queue<Waiter, TimePoint> queue_;
  std::deque<std::pair<Waiter, answer_type>> undelivered_;  // cancelled or expired: they have left the queue
  delivery delivery_ = delivery::idle;
  bool rest_is_promised_ = false;       // true when `deliver_slice()` will be called
  ticket next_ = no_ticket;             // the first ticket that may have an answer; `no_ticket`: none
  ticket last_waiter_ = 0;              // waiters up to here had to wait, those behind are newcomers
  bool is_completing_waiters_ = false;  // true while a waiter that had to wait is being completed
  std::size_t newcomers_ = 0;           // how many have joined since this delivery began
};

}  // namespace conn_grpc::runtime
