// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/group_settings.hpp"

#include <chrono>
#include <cstddef>
#include <string_view>

namespace conn_grpc::runtime {

/// Reports a group as a whole to telemetry: its gets and its size. Thread-safe.
class pool_probe {
 public:
  explicit pool_probe(const group_settings& settings) : settings_(settings), telemetry_(*settings.telemetry) {}

  [[nodiscard]] bool hears_gets() const noexcept {
    return telemetry_.wants(event::channel_get, event::pool_get_channel);
  }

  /// @param channel_name of the channel that was found; empty when none was.
  /// @param error why none was; else empty.
  void got(std::chrono::nanoseconds took, std::string_view channel_name, std::string_view error) const;

  void has_size(std::size_t expected, std::size_t current) const noexcept;

 private:
  const group_settings& settings_;
  telemetry& telemetry_;  // the settings', one load nearer
};

}  // namespace conn_grpc::runtime
