// SPDX-License-Identifier: BSL-1.0
#include "grpc/grpc_connector.hpp"

#include "grpc/completion_thread.hpp"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::detail {
namespace {

/// Sets an integer argument, whether or not the user did: of equal keys gRPC takes the first, so it does not do to add
/// another.
void set_argument(::grpc::ChannelArguments& arguments, std::string_view key, int value) {
  bool found = false;
  const grpc_channel_args view = arguments.c_channel_args();  // its elements are those of `arguments`
  for (grpc_arg& argument : std::span(view.args, view.num_args)) {
    if (argument.key != key) continue;
    argument.type = GRPC_ARG_INTEGER;
    argument.value.integer = value;
    found = true;
  }
  if (!found) arguments.SetInt(std::string(key), value);
}

::grpc::ChannelArguments completed(::grpc::ChannelArguments arguments, std::chrono::milliseconds connect_timeout) {
  // Channels with equal arguments share a connection (grpc#18487) unless each has a pool of subchannels of its own.
  set_argument(arguments, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Despite its name this is how long an attempt may take (grpc#12830), by default 20 s, and the only limit that gRPC
  // knows for a peer that accepts and stays silent: until then the socket stays open, even when its channel is gone.
  constexpr std::chrono::milliseconds::rep most = std::numeric_limits<int>::max();
  set_argument(arguments, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(std::min(connect_timeout.count(), most)));
  return arguments;
}

}  // namespace

grpc_connector::grpc_connector(const channel_options& options)
    : address_(options.address),
      credentials_(options.credentials ? options.credentials : ::grpc::InsecureChannelCredentials()),
      arguments_(completed(options.arguments, options.connect_timeout)),
      create_channel_(options.create_channel ? options.create_channel : ::grpc::CreateCustomChannel),
      diagnosis_(tls_diagnosis::of(options, arguments_)) {
  // Before the pool is constructed, so that at exit a static pool is destroyed first, and the thread has nothing left.
  completion_thread::instance();
}

std::unique_ptr<grpc_connection> grpc_connector::connect(std::function<void()> changed) const {
  auto channel = create_channel_(address_, credentials_, arguments_);
  if (!channel) throw std::invalid_argument("create_channel returned null");
  auto watched = std::make_shared<watched_channel>(std::move(channel), std::move(changed), diagnosis_);
  watched->start();
  return std::make_unique<grpc_connection>(std::move(watched));
}

}  // namespace conn_grpc::detail
