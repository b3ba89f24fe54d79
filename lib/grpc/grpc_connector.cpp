// SPDX-License-Identifier: BSL-1.0
#include "grpc/grpc_connector.hpp"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <stdexcept>
#include <utility>

namespace conn_grpc::detail {
namespace {

// gRPC gives up an attempt after this long, whatever it is told (grpc#12830) but for the argument below.
constexpr std::chrono::milliseconds grpc_attempt_limit{20'000};

::grpc::ChannelArguments completed(::grpc::ChannelArguments arguments, std::chrono::milliseconds connect_timeout) {
  // Channels with equal arguments share a connection (grpc#18487) unless each has its own pool of subchannels. Set
  // last, which overrides what the user set.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (connect_timeout > grpc_attempt_limit) {
    constexpr std::chrono::milliseconds::rep most = std::numeric_limits<int>::max();
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(std::min(connect_timeout.count(), most)));
  }
  return arguments;
}

}  // namespace

grpc_connector::grpc_connector(const channel_options& options)
    : address_(options.address),
      credentials_(options.credentials ? options.credentials : ::grpc::InsecureChannelCredentials()),
      arguments_(completed(options.arguments, options.connect_timeout)),
      create_channel_(options.create_channel ? options.create_channel : ::grpc::CreateCustomChannel) {}

std::unique_ptr<grpc_connection> grpc_connector::connect(std::function<void()> changed) const {
  auto channel = create_channel_(address_, credentials_, arguments_);
  if (!channel) throw std::invalid_argument("create_channel returned null");
  auto watched = std::make_shared<watched_channel>(std::move(channel), std::move(changed));
  watched->start();
  return std::make_unique<grpc_connection>(std::move(watched));
}

}  // namespace conn_grpc::detail
