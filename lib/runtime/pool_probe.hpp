// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"
#include "runtime/member.hpp"

#include <chrono>
#include <cstddef>
#include <string_view>

namespace conn_grpc::runtime {

/// Reports a pool as a whole to telemetry: its gets and its size. Thread-safe.
class pool_probe {
 public:
  explicit pool_probe(const checked_pool_options& options) : options_(options), telemetry_(*options.telemetry) {}

  [[nodiscard]] bool wants_gets() const noexcept {
    return telemetry_.wants(event::channel_get, event::pool_get_channel);
  }

  /// @param channel the channel that was found. Null when there was none, or when a mock
  /// returned it.
  /// @param error why there was none; else empty.
  void report_get(std::chrono::nanoseconds took, const channel_identity* channel, std::string_view error) const;

  void report_size(std::size_t expected, std::size_t current) const noexcept;

 private:
  const checked_pool_options& options_;
  telemetry& telemetry_;  // that of the options, which saves a load
};

}  // namespace conn_grpc::runtime
