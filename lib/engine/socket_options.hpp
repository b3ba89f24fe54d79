// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpc/event_engine/endpoint_config.h>

#include <optional>

namespace conn_grpc::engine {

/// The options of sockets that gRPC's channel arguments ask for.
struct socket_options {
  explicit socket_options(const grpc_event_engine::experimental::EndpointConfig& config);

  /// Applies them to a socket that connects, or that was accepted. A kernel that refuses an
  /// option is no reason not to use the connection.
  void apply(int descriptor, int family) const;

  std::optional<int> user_timeout_ms;  // of TCP, for data that is not acknowledged
  std::optional<int> dscp;             // the class of service of each packet
  bool shares_port;                    // of a socket that listens
};

/// Sets an option whose value is an int.
void set_option(int descriptor, int level, int name, int value);

}  // namespace conn_grpc::engine
