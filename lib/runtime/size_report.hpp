// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_picker.hpp"
#include "runtime/condition.hpp"
#include "runtime/deadline.hpp"
#include "runtime/strand.hpp"

#include <chrono>

namespace conn_grpc::runtime {

/// Reports the size of a pool to telemetry, at once and then at each interval. On the
/// strand.
template <class Clock>
class size_report {
 public:
  size_report(channel_picker<Clock>& picker, std::chrono::milliseconds interval)
      : picker_(picker), interval_(interval) {}

  strand_awaitable<> run() {
    while (!stopping_) {
      const auto due = deadline_after<Clock>(interval_);
      picker_.report_size();
      while (!stopping_ && Clock::now() < due) co_await due_.wait_until(due);
    }
  }

  void stop() {
    stopping_ = true;
    due_.notify();
  }

 private:
  channel_picker<Clock>& picker_;
  const std::chrono::milliseconds interval_;
  condition<Clock> due_;
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
