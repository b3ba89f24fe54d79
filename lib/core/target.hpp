// SPDX-License-Identifier: BSL-1.0
// What gRPC makes of a target: "host:port", "dns://authority/host:port", "unix:/path".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace conn_grpc::core {

/// The parts are views into the target.
struct target_parts {
  std::string_view scheme;  // "dns" for a target without one
  std::string_view path;    // without an authority and the slash behind it: "host:port"
};

/// gRPC takes what is before the first colon for a scheme if a resolver is registered for it. Here that is one of
/// gRPC's own, or one before "://".
[[nodiscard]] target_parts parts_of(std::string_view target);

/// @throws boost::system::system_error with errc::invalid_options: empty, or a port that is neither from 0 to 65535,
/// nor "http" or "https": of every other name gRPC's resolver makes port 0.
void check_target(std::string_view field, std::string_view target);

/// How gRPC would reach a target, as far as arguments and the environment decide it.
struct proxy_configuration {
  bool enabled = true;                                  // GRPC_ARG_ENABLE_HTTP_PROXY
  std::optional<std::string> in_arguments{};            // GRPC_ARG_HTTP_PROXY
  std::function<const char*(const char*)> environment;  // std::getenv, or null when a variable is not set
};

/// "the proxy 127.0.0.1:3128 of http_proxy" when gRPC connects to that instead of the target; else empty. Without the
/// user name and password that the variable may hold. What gRPC 1.51 does; later versions also understand networks
/// ("10.0.0.0/8") in no_proxy.
[[nodiscard]] std::string proxy_of(std::string_view target, const proxy_configuration& configuration);

}  // namespace conn_grpc::core
