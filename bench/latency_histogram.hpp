// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace conn_grpc::bench {

/// A histogram of times from 1 us to 2 minutes. Shorter times count as 1 us, longer ones as 2
/// minutes. A quantile is wrong by 2.2 % at most. Thread-safe.
class latency_histogram {
 public:
  void add(double us) {
    const double place = std::log2((std::max)(us, 1.0)) * buckets_per_doubling;
    const auto bucket = (std::min)(static_cast<std::size_t>(place), counts_.size() - 1);
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  }

  void clear() {
    for (auto& count : counts_) count = 0;
  }

  /// The time in microseconds that this part of the counted times does not exceed. Not a number
  /// if no time was counted.
  /// @param part From 0 to 1.
  [[nodiscard]] double quantile(double part) const {
    double all = 0;
    for (const auto& count : counts_) all += static_cast<double>(count);
    double seen = 0;
    for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
      seen += static_cast<double>(counts_[bucket]);
      if (seen > 0 && seen >= part * all) return std::exp2((static_cast<double>(bucket) + 0.5) / buckets_per_doubling);
    }
    return std::numeric_limits<double>::quiet_NaN();
  }

 private:
  static constexpr int buckets_per_doubling = 16;

  std::array<std::atomic<std::uint64_t>, std::size_t{27} * buckets_per_doubling> counts_{};
};

}  // namespace conn_grpc::bench
