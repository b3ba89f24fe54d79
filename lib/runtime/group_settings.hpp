// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/telemetry.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace spdlog {
class logger;
}

namespace conn_grpc::runtime {

/// What a group needs to know of the public options, valid, with the defaults filled in.
struct group_settings {
  std::string name;      // of the pool, or of the channel on its own; empty: cannot be looked up
  std::string type_key;  // of a static_pool or static_channel; else empty
  std::string address;   // of its channels
  std::string label;     // how exceptions name it: "pool greeter"
  std::optional<std::chrono::milliseconds> status_interval;  // none for a channel on its own
  std::size_t max_waiters = 0;                               // 0: any number
  std::size_t max_restarts;
  std::chrono::milliseconds restart_window;
  std::shared_ptr<conn_grpc::telemetry> telemetry;  // never null
  std::shared_ptr<spdlog::logger> logger;           // null when the user took the default one away

  [[nodiscard]] bool is_pool() const { return status_interval.has_value(); }
};

}  // namespace conn_grpc::runtime
