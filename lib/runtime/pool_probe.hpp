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

  [[nodiscard]] bool hears_gets() const noexcept {
    return telemetry_.wants(event::channel_get, event::pool_get_channel);
  }

  /// @param channel the channel that was found; null when none was, or when it is a mock's.
  /// @param error why none was; else empty.
  void got(std::chrono::nanoseconds took, const channel_identity* channel, std::string_view error) const;

  void has_size(std::size_t expected, std::size_t current) const noexcept;

 private:
  const checked_pool_options& options_;
  telemetry& telemetry_;  // that of the options, one load nearer
};

}  // namespace conn_grpc::runtime
