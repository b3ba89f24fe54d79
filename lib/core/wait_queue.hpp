// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace conn_grpc::core {

/// Waiters in the order of their tickets, each with a deadline. A returned waiter has
/// left the queue, so no waiter is served twice. To leave costs one look-up at most, for
/// any number of waiters. Not thread-safe.
template <class Waiter, class TimePoint>
class wait_queue {
  struct place;

 public:
  using ticket = std::uint64_t;
  using iterator = typename std::map<ticket, place>::iterator;

  /// Throws std::bad_alloc, without effect.
  /// @param mine a unique ticket.
  void join(ticket mine, Waiter waiter, TimePoint deadline) {
    const auto expiry = deadlines_.emplace(deadline, mine).first;
    try {
      queue_.emplace(mine, place{std::move(waiter), expiry});
    } catch (...) {
      deadlines_.erase(expiry);
      throw;
    }
  }

  /// The first waiter whose ticket is this one or greater.
  [[nodiscard]] iterator from(ticket first) { return queue_.lower_bound(first); }
  [[nodiscard]] iterator end() { return queue_.end(); }
  [[nodiscard]] static const Waiter& waiter_at(iterator at) { return at->second.waiter; }

  /// @param at is set to the next waiter.
  Waiter leave_at(iterator& at) {
    Waiter left = std::move(at->second.waiter);
    deadlines_.erase(at->second.expiry);
    at = queue_.erase(at);
    return left;
  }

  /// Null when the waiter has left before.
  std::optional<Waiter> leave(ticket which) {
    auto found = queue_.find(which);
    if (found == queue_.end()) return std::nullopt;
    return leave_at(found);
  }

  /// Removes the waiter with the earliest deadline, if that deadline has come.
  std::optional<Waiter> leave_expired(TimePoint now) {
    if (deadlines_.empty() || deadlines_.begin()->first > now) return std::nullopt;
    return leave(deadlines_.begin()->second);
  }

  [[nodiscard]] std::size_t size() const { return queue_.size(); }
  [[nodiscard]] bool empty() const { return queue_.empty(); }

  /// The ticket of the last waiter. The queue must not be empty.
  [[nodiscard]] ticket last() const { return queue_.rbegin()->first; }

  /// The earliest deadline. Null when the queue is empty.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
  }

 private:
  using expiries = std::set<std::pair<TimePoint, ticket>>;

  struct place {
    Waiter waiter;
    typename expiries::iterator expiry;  // so that leaving need not search for it
  };

  std::map<ticket, place> queue_;
  expiries deadlines_;
};

}  // namespace conn_grpc::core
