// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace conn_grpc::runtime {

/// The time `delay` from now. A negative delay counts as zero. Where the sum would
/// overflow, it is the last time point.
template <class Clock, class Duration>
typename Clock::time_point deadline_after(Duration delay) {
  const auto now = Clock::now();
  const auto end = (Clock::time_point::max)();
  if (delay.count() <= 0) return now;
  return delay < std::chrono::duration_cast<Duration>(end - now) ? now + delay : end;
}

}  // namespace conn_grpc::runtime
