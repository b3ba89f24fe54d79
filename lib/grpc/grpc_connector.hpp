// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/watched_channel.hpp"
#include "runtime/connector.hpp"

#include <conn_grpc/options.hpp>

#include <functional>
#include <memory>
#include <string>

namespace conn_grpc::detail {

struct grpc_session;

/// Begins each attempt with a gRPC channel of its own. Used on the pool's strand; shared by the pool's channels.
class grpc_connector {
 public:
  using channel_type = channel_ptr;

  explicit grpc_connector(const channel_options& options);

  /// Throws what `create_channel` throws.
  [[nodiscard]] std::unique_ptr<grpc_connection> connect(std::function<void()> changed) const;

 private:
  std::string address_;
  std::shared_ptr<::grpc::ChannelCredentials> credentials_;  // null: insecure ones, which gRPC must be started for
  ::grpc::ChannelArguments arguments_;
  decltype(channel_options::create_channel) create_channel_;
  std::shared_ptr<const tls_diagnosis> diagnosis_;
  const std::string proxy_;
  mutable std::shared_ptr<grpc_session> session_;  // from the first attempt on
};

static_assert(runtime::connector<grpc_connector>);

}  // namespace conn_grpc::detail
