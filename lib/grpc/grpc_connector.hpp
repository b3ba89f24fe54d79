// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/watched_channel.hpp"
#include "runtime/connector.hpp"

#include <conn_grpc/options.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace conn_grpc::detail {

struct grpc_session_use;

/// The time after which an attempt is abandoned. gRPC itself ends name resolution, and
/// the attempt at each address, after `connect_timeout`. The limit leaves time for eight
/// addresses. It ends an attempt at more addresses than that, and resolvers and load
/// balancing policies that have no limit. It also ends an attempt of a channel that the
/// user created with other arguments.
[[nodiscard]] std::chrono::milliseconds attempt_limit(std::chrono::milliseconds connect_timeout);

/// True when a server with gRPC's default settings ends the connections for the keepalive
/// pings that these arguments ask for: more than two without data, sooner than every five
/// minutes, or every two hours without RPCs.
[[nodiscard]] bool pings_too_often(const ::grpc::ChannelArguments& arguments);

/// Begins each attempt with a gRPC channel of its own, with one exception. Where the
/// user's arguments ask for keepalive, the attempt after a loss uses the same channel
/// again: gRPC remembers in it that a server has found the pings too frequent. Used on
/// the pool's strand; shared by the pool's channels.
class grpc_connector final : public runtime::connector {
 public:
  /// @param authority the name of the servers, for TLS and the pseudo-header :authority,
  /// unless the arguments have one. Empty: the address's own.
  explicit grpc_connector(const channel_options& options, const std::string& authority = {});

  /// Throws what `create_channel` throws.
  /// @param reused a `monitored_channel`, or null.
  [[nodiscard]] std::unique_ptr<runtime::connection> connect(const std::string& address,
                                                             runtime::connection_observer changed,
                                                             std::shared_ptr<void> reused) const override;
  /// The RPCs of `unary`, except over channels that the user created.
  [[nodiscard]] std::size_t calls_in_flight() const override;

 private:
  [[nodiscard]] monitored_channel create(const std::string& address) const;

  std::shared_ptr<::grpc::ChannelCredentials> credentials_;  // null: the session's, which need a started gRPC
  ::grpc::ChannelArguments arguments_;
  decltype(channel_options::create_channel) create_channel_;
  std::shared_ptr<const watch_options> watch_options_;
  mutable std::shared_ptr<const grpc_session_use> use_;  // from the first attempt on
  const std::shared_ptr<call_count> calls_ = std::make_shared<call_count>(0);
};

}  // namespace conn_grpc::detail
