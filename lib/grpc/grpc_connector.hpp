// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/watched_channel.hpp"
#include "runtime/connector.hpp"

#include <conn_grpc/options.hpp>

#include <functional>
#include <memory>

namespace conn_grpc::detail {

/// Begins each attempt with a gRPC channel of its own.
class grpc_connector {
 public:
  using channel_type = channel_ptr;

  explicit grpc_connector(const channel_options& options);

  /// Throws what `create_channel` throws.
  [[nodiscard]] std::unique_ptr<grpc_connection> connect(std::function<void()> changed) const;

 private:
  std::string address_;
  std::shared_ptr<::grpc::ChannelCredentials> credentials_;
  ::grpc::ChannelArguments arguments_;
  decltype(channel_options::create_channel) create_channel_;
  std::shared_ptr<const tls_diagnosis> diagnosis_;
};

static_assert(runtime::connector<grpc_connector>);

}  // namespace conn_grpc::detail
