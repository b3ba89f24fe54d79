// SPDX-License-Identifier: BSL-1.0
#include "engine/socket_options.hpp"

#include <grpc/impl/channel_arg_names.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <limits>

namespace conn_grpc::engine {

void set_option(int descriptor, int level, int name, int value) {
  (void)::setsockopt(descriptor, level, name, &value, sizeof value);
}

socket_options::socket_options(const grpc_event_engine::experimental::EndpointConfig& config)
    : dscp(config.GetInt(GRPC_ARG_DSCP)), shares_port(config.GetInt(GRPC_ARG_ALLOW_REUSEPORT).value_or(1) != 0) {
  // As gRPC's own engine: keepalive also limits how long TCP waits for an acknowledgement.
  constexpr int never = std::numeric_limits<int>::max();
  const auto interval = config.GetInt(GRPC_ARG_KEEPALIVE_TIME_MS).value_or(never);
  const auto timeout = config.GetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS).value_or(20'000);
  if (interval > 0 && interval != never && timeout > 0 && timeout != never) user_timeout_ms = timeout;
}

void socket_options::apply(int descriptor, int family) const {
  if (family != AF_INET && family != AF_INET6) return;
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  if (user_timeout_ms) set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, *user_timeout_ms);
  if (!dscp) return;
  constexpr int bits_below = 2;  // of the same byte, for congestion
  set_option(descriptor, IPPROTO_IP, IP_TOS, *dscp << bits_below);
  if (family == AF_INET6) set_option(descriptor, IPPROTO_IPV6, IPV6_TCLASS, *dscp << bits_below);
}

}  // namespace conn_grpc::engine
