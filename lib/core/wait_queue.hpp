// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace conn_grpc::core {

/// Waiters in the order of their tickets, each with a deadline. A waiter that is returned has left the line, so that
/// none is served twice. Leaving costs the same however many wait. Not thread-safe.
template <class Waiter, class TimePoint>
class wait_queue {
  struct place;

 public:
  using ticket = std::uint64_t;
  using iterator = typename std::map<ticket, place>::iterator;

  /// Throws std::bad_alloc without effect.
  /// @param mine unique.
  void join(ticket mine, Waiter waiter, TimePoint deadline) {
    const auto expiry = deadlines_.emplace(deadline, mine).first;
    try {
      line_.emplace(mine, place{std::move(waiter), expiry});
    } catch (...) {
      deadlines_.erase(expiry);
      throw;
    }
  }

  /// The first waiter whose ticket is not below this one.
  [[nodiscard]] iterator from(ticket first) { return line_.lower_bound(first); }
  [[nodiscard]] iterator end() { return line_.end(); }
  [[nodiscard]] static const Waiter& waiter_at(iterator at) { return at->second.waiter; }

  /// @param at the next one, when this returns.
  Waiter leave_at(iterator& at) {
    Waiter left = std::move(at->second.waiter);
    deadlines_.erase(at->second.expiry);
    at = line_.erase(at);
    return left;
  }

  /// Null when it has left before.
  std::optional<Waiter> leave(ticket which) {
    auto found = line_.find(which);
    if (found == line_.end()) return std::nullopt;
    return leave_at(found);
  }

  /// The waiter with the earliest deadline, if that has come.
  std::optional<Waiter> leave_expired(TimePoint now) {
    if (deadlines_.empty() || deadlines_.begin()->first > now) return std::nullopt;
    return leave(deadlines_.begin()->second);
  }

  [[nodiscard]] std::size_t size() const { return line_.size(); }
  [[nodiscard]] bool empty() const { return line_.empty(); }

  /// The ticket of the last in the line, which is not empty.
  [[nodiscard]] ticket last() const { return line_.rbegin()->first; }

  /// The earliest; null when the line is empty.
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

  std::map<ticket, place> line_;
  expiries deadlines_;
};

}  // namespace conn_grpc::core
