// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/backoff.hpp>
#include <conn_grpc/telemetry.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace conn_grpc::runtime {

/// The options of a pool, or of a channel on its own, checked and with the defaults
/// filled in. The connector has the options of connecting.
///
/// A pool and its channels share one constant object. With a copy for each channel, a
/// function object of the user's would have a state of its own in each channel.
struct checked_pool_options {
  std::string name;      // of the pool, or of the channel on its own; empty: cannot be looked up
  std::string type_key;  // of a static_pool or static_channel; else empty
  std::string label;     // names it in exceptions: "pool greeter"
  std::string address;
  std::size_t pool_size = 1;
  std::optional<std::chrono::milliseconds> status_interval;  // none for a channel on its own
  std::size_t max_waiters = 0;                               // 0: any number
  std::size_t max_restarts;
  std::chrono::milliseconds restart_window;
  backoff_range backoff;
  std::function<std::unique_ptr<conn_grpc::backoff>(backoff_range)> make_backoff;
  std::chrono::milliseconds attempt_limit;  // an attempt is abandoned after this, unless the connector ends it before
  std::chrono::milliseconds stable_after;
  std::function<void()> on_connect;
  std::function<void()> on_disconnect;
  std::shared_ptr<conn_grpc::telemetry> telemetry;  // never null
  std::shared_ptr<spdlog::logger> logger;           // null when the user has removed the default logger
  bool debug = false;

  [[nodiscard]] bool is_pool() const { return status_interval.has_value(); }
  /// Empty for a channel on its own.
  [[nodiscard]] std::string_view pool_name() const { return is_pool() ? name : std::string_view(); }
  [[nodiscard]] std::string channel_name(std::size_t slot) const {
    return is_pool() ? name + "/" + std::to_string(slot) : name;
  }
};

}  // namespace conn_grpc::runtime
