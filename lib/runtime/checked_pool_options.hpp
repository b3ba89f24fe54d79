// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/backoff.hpp>
#include <conn_grpc/telemetry.hpp>

#include "runtime/connector.hpp"
#include "runtime/resolver.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spdlog {
class logger;
}

namespace conn_grpc::runtime {

/// The limit of the number of channels of a pool. It is far above the number of sockets that
/// a process can have. A larger number is a mistake that would take the memory of the
/// machine.
inline constexpr std::size_t most_channels = 100'000;

using prime_function = std::function<boost::asio::awaitable<void>(channel_ptr)>;

/// The options of a pool, or of a channel on its own, checked and with the defaults
/// filled in. The connector has the options of connecting.
///
/// A pool and its channels share one constant object. With a copy for each channel, a
/// function object of the user's would have a state of its own in each channel.
struct checked_pool_options {
  std::string name;                      // of the pool, or of the channel on its own; empty: cannot be looked up
  std::string type_key;                  // of a static_pool or static_channel; else empty
  std::string label;                     // names it in exceptions: "pool greeter"
  std::string address;                   // of the plain channel names; may be empty when there are `addresses`
  std::vector<std::string> addresses{};  // at the start; empty: `address` alone
  std::size_t pool_size = 1;             // for each address
  std::size_t max_size = 0;              // for each address; the size follows the load if it is above `pool_size`
  std::size_t max_connecting = 0;        // 0: any number
  resolver resolve{};                    // finds the addresses of the name `address`; empty: `address` is a gRPC target
  std::chrono::milliseconds resolve_interval{0};             // above zero when there is `resolve`
  std::optional<std::chrono::milliseconds> status_interval;  // none for a channel on its own
  std::size_t max_waiters = 0;                               // 0: any number
  bool picks_less_loaded = false;                            // for leases; else in turn
  std::size_t max_in_flight = 0;                             // leases of one connection; 0: any number
  std::size_t suspect_after = 0;                             // failures in a row; 0: never
  std::size_t max_restarts;
  std::chrono::milliseconds restart_window;
  backoff_range backoff;
  std::function<std::unique_ptr<conn_grpc::backoff>(backoff_range)> make_backoff;
  std::chrono::milliseconds attempt_limit;  // an attempt is abandoned after this, unless the connector ends it before
  std::chrono::milliseconds stable_after;
  std::chrono::milliseconds max_connection_age{0};  // 0: for ever
  std::shared_ptr<const prime_function> prime{};    // null: none. A cancelled coroutine of it may outlive the pool
  std::function<void()> on_connect;
  std::function<void()> on_disconnect;
  std::shared_ptr<conn_grpc::telemetry> telemetry;  // never null
  std::shared_ptr<spdlog::logger> logger;           // null when the user has removed the default logger
  bool debug = false;
  bool has_own_targets = false;  // the addresses are for the user's create_channel, and not checked

  [[nodiscard]] bool is_elastic() const { return max_size > pool_size; }
  [[nodiscard]] std::size_t largest_size() const { return is_elastic() ? max_size : pool_size; }
  [[nodiscard]] bool is_pool() const { return status_interval.has_value(); }
  [[nodiscard]] const std::string& first_address() const { return addresses.empty() ? address : addresses.front(); }
  /// Empty for a channel on its own.
  [[nodiscard]] std::string_view pool_name() const { return is_pool() ? name : std::string_view(); }
  /// The channels to `address` have plain names, unless `addresses` are listed.
  [[nodiscard]] std::string channel_name(const std::string& to, std::size_t index) const {
    if (!is_pool()) return name;
    const bool is_plain = addresses.empty() && to == address;
    return name + (is_plain ? "" : "/" + to) + "/" + std::to_string(index);
  }
};

}  // namespace conn_grpc::runtime
