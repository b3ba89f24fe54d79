// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>

namespace conn_grpc::core {

/// How often something may be restarted: `limit` times within any `window`, as an Erlang
/// supervisor counts.
template <class TimePoint>
class restart_budget {
 public:
  restart_budget(std::size_t limit, std::chrono::milliseconds window) : limit_(limit), window_(window) {}

  /// Takes a restart from the budget. False when none is left.
  [[nodiscard]] bool spend(TimePoint now) {
    while (!spent_.empty() && std::chrono::floor<std::chrono::milliseconds>(now - spent_.front()) >= window_)
      spent_.pop_front();
    if (spent_.size() >= limit_) return false;
    spent_.push_back(now);
    return true;
  }

  /// The restarts within the window that ended with the last `spend`.
  [[nodiscard]] std::size_t spent() const { return spent_.size(); }
  [[nodiscard]] std::size_t limit() const { return limit_; }

 private:
  std::size_t limit_;
  std::chrono::milliseconds window_;
  std::deque<TimePoint> spent_;
};

}  // namespace conn_grpc::core
