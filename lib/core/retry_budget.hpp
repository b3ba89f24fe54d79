// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace conn_grpc::core {

/// Limits retries to a tenth of the calls, so that they cannot double the load in an
/// outage. A few more are always allowed, so that a service that makes a call now and then
/// can retry it. Thread-safe.
template <class TimePoint>
class retry_budget {
 public:
  explicit retry_budget(TimePoint now) : last_(now) {}

  /// Call it once per call, not per attempt. Takes no lock.
  void count_call() noexcept { calls_.fetch_add(1, std::memory_order_relaxed); }

  /// @return true when the retry may be made. Then it is counted.
  [[nodiscard]] bool spend(TimePoint now) {
    const std::lock_guard lock(mutex_);
    refill(now);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  static constexpr double per_call = 0.1;
  static constexpr double per_second = 5;
  static constexpr double reserve = 10;
  // Calls longer ago allow no retries.
  static constexpr std::chrono::duration<double> window{10};

  void refill(TimePoint now) {
    const auto calls = static_cast<double>(calls_.exchange(0, std::memory_order_relaxed));
    const std::chrono::duration<double> elapsed = now - last_;
    last_ = now;
    const double recent = elapsed > window ? calls * (window / elapsed) : calls;
    const double kept = (std::max)(0.0, 1 - elapsed / window);
    tokens_of_calls_ = tokens_of_calls_ * kept + recent * per_call;
    const double most = reserve + tokens_of_calls_;
    tokens_ = (std::min)(most, tokens_ + recent * per_call + elapsed.count() * per_second);
  }

  std::atomic<std::uint64_t> calls_{0};  // since the last refill
  std::mutex mutex_;
  TimePoint last_;  // of the last refill
  double tokens_ = reserve;
  double tokens_of_calls_ = 0;  // what the calls within the window have added
};

}  // namespace conn_grpc::core
