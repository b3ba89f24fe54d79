// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/backoff.hpp>
#include <conn_grpc/telemetry.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace conn_grpc::runtime {

/// What an actor needs to know of the public options, valid, with the defaults filled in. How to connect is not in
/// here: that is its connector's business. The channels of a pool share one constant object, because the functions in
/// it are the user's: a copy for each channel would be a functor with a state of its own for each.
struct channel_settings {
  std::string pool_name;  // empty for a channel on its own
  std::string address;
  backoff_range backoff;
  std::function<std::unique_ptr<conn_grpc::backoff>(backoff_range)> make_backoff;
  std::chrono::milliseconds attempt_limit;  // what the connector has not ended by then is given up
  std::chrono::milliseconds stable_after;
  std::function<void()> on_connect;
  std::function<void()> on_disconnect;
  std::shared_ptr<conn_grpc::telemetry> telemetry;  // never null
  std::shared_ptr<spdlog::logger> logger;           // null when the user took the default one away
  bool debug = false;
};

}  // namespace conn_grpc::runtime
