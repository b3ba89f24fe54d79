// SPDX-License-Identifier: BSL-1.0
// How gRPC reads a target: "host:port", "dns://authority/host:port", "unix:/path".
#pragma once

#include <cstdint>
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

/// gRPC reads the text before the first colon as a scheme if a resolver is registered for
/// it. Here a scheme is one of gRPC's own, or any text before "://".
[[nodiscard]] target_parts parts_of(std::string_view target);

/// @throws boost::system::system_error with errc::invalid_options when the target is
/// empty, or when its port is neither from 0 to 65535 nor "http" or "https". gRPC's
/// resolver makes port 0 of every other name.
void check_target(std::string_view field, std::string_view target);

/// The name and the port of a target that a pool resolves itself.
struct host_port {
  std::string host;  // an IPv6 address without its brackets
  std::uint16_t port = 0;
  std::string authority;  // "host:port" as the target has it
};

/// Null unless the target is "host:port" or "dns:///host:port". Its port must have passed
/// `check_target`.
[[nodiscard]] std::optional<host_port> host_port_of(std::string_view target);

/// How gRPC would reach a target, as far as arguments and the environment decide it.
struct proxy_configuration {
  bool enabled = true;                                  // GRPC_ARG_ENABLE_HTTP_PROXY
  std::optional<std::string> in_arguments{};            // GRPC_ARG_HTTP_PROXY
  std::function<const char*(const char*)> environment;  // std::getenv, or null when a variable is not set
};

/// Returns "the proxy 127.0.0.1:3128 of http_proxy" when gRPC connects to that proxy
/// instead of the target; else an empty text. The text leaves out the user name and the
/// password that the variable may hold. This is what gRPC 1.51 does. Later versions also
/// understand networks ("10.0.0.0/8") in no_proxy.
[[nodiscard]] std::string proxy_of(std::string_view target, const proxy_configuration& configuration);

}  // namespace conn_grpc::core
