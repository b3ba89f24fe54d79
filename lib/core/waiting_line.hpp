// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace conn_grpc::core {

/// Who waits, in the order of their tickets, each until its deadline. Whoever is returned has left the line, so that
/// nobody is served twice. Not thread-safe.
template <class Waiter, class TimePoint>
class waiting_line {
 public:
  using ticket = std::uint64_t;

  /// Throws std::bad_alloc without effect.
  /// @param mine nobody else's.
  void join(ticket mine, Waiter waiter, TimePoint deadline) {
    const auto expiry = deadlines_.emplace(deadline, mine).first;
    try {
      line_.emplace(mine, place{std::move(waiter), deadline});
    } catch (...) {
      deadlines_.erase(expiry);
      throw;
    }
  }

  /// Nobody, when it has left before.
  std::vector<Waiter> leave(ticket which) {
    std::vector<Waiter> left;
    if (const auto found = line_.find(which); found != line_.end()) take(found, left);
    return left;
  }

  /// Those whose deadline has come, the earliest deadline first.
  std::vector<Waiter> leave_expired(TimePoint now) {
    std::vector<Waiter> expired;
    while (!deadlines_.empty() && deadlines_.begin()->first <= now)
      take(line_.find(deadlines_.begin()->second), expired);
    return expired;
  }

  /// Everybody, the first to come first.
  std::vector<Waiter> leave_all() {
    std::vector<Waiter> all;
    all.reserve(line_.size());
    for (auto& [mine, at] : line_) all.push_back(std::move(at.waiter));
    line_.clear();
    deadlines_.clear();
    return all;
  }

  /// Those of whom it is true, the first to come first.
  template <class Predicate>
  std::vector<Waiter> leave_if(Predicate is_meant) {
    std::vector<Waiter> meant;
    for (auto at = line_.begin(); at != line_.end();) {
      const auto next = std::next(at);
      if (is_meant(std::as_const(at->second.waiter))) take(at, meant);
      at = next;
    }
    return meant;
  }

  [[nodiscard]] std::size_t size() const { return line_.size(); }
  [[nodiscard]] bool empty() const { return line_.empty(); }

  /// The earliest; null when nobody waits.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
  }

 private:
  struct place {
    Waiter waiter;
    TimePoint deadline;
  };

  using line = std::map<ticket, place>;

  void take(typename line::iterator at, std::vector<Waiter>& left) {
    deadlines_.erase({at->second.deadline, at->first});
    left.push_back(std::move(at->second.waiter));
    line_.erase(at);
  }

  line line_;
  std::set<std::pair<TimePoint, ticket>> deadlines_;
};

}  // namespace conn_grpc::core
