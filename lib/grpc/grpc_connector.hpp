// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/watched_channel.hpp"
#include "runtime/connector.hpp"

#include <conn_grpc/options.hpp>

#include <memory>
#include <string>

namespace conn_grpc::detail {

struct grpc_session;

/// Begins each attempt with a gRPC channel of its own. Only where the user's arguments ask for keepalive, the attempt
/// after a loss uses the same channel again: gRPC remembers there that a server has found the pings too frequent.
/// Used on the pool's strand; shared by the pool's channels.
class grpc_connector {
 public:
  using channel_type = channel_ptr;
  using connection_type = grpc_connection;

  explicit grpc_connector(const channel_options& options);

  [[nodiscard]] std::unique_ptr<grpc_connection> reusable(std::unique_ptr<grpc_connection> lost) const;

  /// Throws what `create_channel` throws.
  [[nodiscard]] std::unique_ptr<grpc_connection> connect(watched_channel::observer changed,
                                                         std::unique_ptr<grpc_connection> lost) const;

 private:
  [[nodiscard]] monitored_channel create() const;

  std::string address_;
  std::shared_ptr<::grpc::ChannelCredentials> credentials_;  // null: insecure ones, which gRPC must be started for
  ::grpc::ChannelArguments arguments_;
  decltype(channel_options::create_channel) create_channel_;
  std::shared_ptr<const watch_options> watch_options_;
  mutable std::shared_ptr<grpc_session> session_;  // from the first attempt on
};

static_assert(runtime::connector<grpc_connector>);

}  // namespace conn_grpc::detail
