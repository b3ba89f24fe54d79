// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/connector.hpp"
#include "runtime/deadline.hpp"

#include <chrono>

namespace conn_grpc::runtime {

/// When the next attempt begins.
enum class retry {
  at_once,        // after a connection that lived for `stable_after`
  paced,          // after a shorter one, closed in order: at once, but at most twice per `stable_after`
  after_backoff,  // after any other, and after a failed attempt
};

/// Decides when the attempt after a loss begins. docs/design/backoff.md explains the
/// rule.
template <class Clock>
class retry_rule {
 public:
  explicit retry_rule(std::chrono::milliseconds stable_after) : stable_after_(stable_after) {}

  void attempt_failed() { closes_in_order_ = false; }

  /// @param up how long the connection lived.
  retry after(loss_kind loss, std::chrono::nanoseconds up) {
    if (loss != loss_kind::unknown) closes_in_order_ = loss == loss_kind::orderly;
    if (std::chrono::floor<std::chrono::milliseconds>(up) >= stable_after_) return retry::at_once;
    return closes_in_order_ ? retry::paced : retry::after_backoff;
  }

  /// True when the attempt begins without a backoff. The caller then begins it.
  bool begins_now(retry next) {
    if (next != retry::paced) return next == retry::at_once;
    if (Clock::now() < next_paced_) return false;
    next_paced_ = deadline_after<Clock>(stable_after_ / 2);
    return true;
  }

 private:
  const std::chrono::milliseconds stable_after_;
  bool closes_in_order_ = false;  // true when the last loss of a known kind was orderly; false after a failed attempt
  typename Clock::time_point next_paced_ = (Clock::time_point::min)();
};

}  // namespace conn_grpc::runtime
