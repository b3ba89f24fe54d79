// SPDX-License-Identifier: BSL-1.0
#include "grpc/grpc_connector.hpp"

#include "core/target.hpp"
#include "grpc/completion_thread.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::detail {
namespace {

void add_user_agent(::grpc::ChannelArguments& to, std::string agent) {
  const std::string grpcs = "grpc-c++/" + ::grpc::Version();
  if (agent.ends_with(grpcs)) agent.resize(agent.size() - grpcs.size());
  if (agent.ends_with(' ')) agent.pop_back();
  if (!agent.empty()) to.SetUserAgentPrefix(agent);
}

/// Adds a copy of the argument.
void add(::grpc::ChannelArguments& to, const grpc_arg& argument) {
  const std::string key = argument.key;
  switch (argument.type) {
    case GRPC_ARG_INTEGER:
      return to.SetInt(key, argument.value.integer);
    case GRPC_ARG_STRING:
      // A fresh list has gRPC's own user agent already; what a user adds comes before it.
      if (key == GRPC_ARG_PRIMARY_USER_AGENT_STRING) return add_user_agent(to, argument.value.string);
      return to.SetString(key, argument.value.string);
    case GRPC_ARG_POINTER:
      return to.SetPointerWithVtable(key, argument.value.pointer.p, argument.value.pointer.vtable);
  }
}

/// The user's arguments and ours. Of equal keys gRPC takes the first: who sets an argument again means the last, and
/// ours replace the user's. Nothing can be taken out of a list of arguments, so this is a new one.
::grpc::ChannelArguments completed(const ::grpc::ChannelArguments& given, std::chrono::milliseconds connect_timeout,
                                   std::string_view without = {}) {
  // Channels with equal arguments share a connection (grpc#18487) unless each has a pool of subchannels of its own.
  const std::string own_connection = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL;
  // Despite its name this is how long an attempt may take (grpc#12830), by default 20 s, and the only limit that gRPC
  // knows for a peer that accepts and stays silent: until then the socket stays open, even when its channel is gone.
  const std::string attempt_deadline = GRPC_ARG_MIN_RECONNECT_BACKOFF_MS;

  ::grpc::ChannelArguments all;
  const grpc_channel_args view = given.c_channel_args();
  for (auto rest = std::span<const grpc_arg>(view.args, view.num_args); !rest.empty(); rest = rest.subspan(1)) {
    const std::string_view key = rest.front().key;
    const bool set_again =
        std::ranges::any_of(rest.subspan(1), [&](const grpc_arg& later) { return later.key == key; });
    if (!set_again && key != own_connection && key != attempt_deadline && key != without) add(all, rest.front());
  }
  all.SetInt(own_connection, 1);
  constexpr std::chrono::milliseconds::rep most = std::numeric_limits<int>::max();
  all.SetInt(attempt_deadline, static_cast<int>(std::min(connect_timeout.count(), most)));
  return all;
}

/// An inquiry verifies nothing, so it must not leave a session behind for the next attempt to resume: OpenSSL does not
/// verify resumed ones again. And it must not cost the attempt its reason when it is not answered.
::grpc::ChannelArguments for_inquiry(const channel_options& options) {
  return completed(options.arguments, std::min(options.connect_timeout, std::chrono::milliseconds(1'000)),
                   GRPC_SSL_SESSION_CACHE_ARG);
}

/// What gRPC connects to instead of the address; empty when it is the address itself. A function of the user's need not
/// lead to either.
std::string proxy_for(const channel_options& options) {
  if (options.create_channel) return {};
  core::proxy_configuration configuration{.environment = [](const char* name) { return std::getenv(name); }};
  const grpc_channel_args view = options.arguments.c_channel_args();
  for (const grpc_arg& argument : std::span<const grpc_arg>(view.args, view.num_args)) {
    const std::string_view key = argument.key;
    if (key == GRPC_ARG_ENABLE_HTTP_PROXY && argument.type == GRPC_ARG_INTEGER)
      configuration.enabled = argument.value.integer != 0;
    if (key == GRPC_ARG_HTTP_PROXY && argument.type == GRPC_ARG_STRING)
      configuration.in_arguments = argument.value.string;
  }
  return core::proxy_of(options.address, configuration);
}

}  // namespace

grpc_connector::grpc_connector(const channel_options& options)
    : address_(options.address),
      credentials_(options.credentials),
      arguments_(completed(options.arguments, options.connect_timeout)),
      create_channel_(options.create_channel ? options.create_channel : ::grpc::CreateCustomChannel),
      diagnosis_(tls_diagnosis::of(options, for_inquiry(options))),
      proxy_(proxy_for(options)) {
  completion_thread::instance();
}

std::unique_ptr<grpc_connection> grpc_connector::connect(std::function<void()> changed) const {
  try {
    session_ = completion_thread::instance().use();
  } catch (const completion_thread::unavailable& e) {
    return std::make_unique<grpc_connection>(std::make_shared<watched_channel>(e.what()));
  }
  auto channel = create_channel_(address_, credentials_ ? credentials_ : session_->insecure, arguments_);
  if (!channel) throw std::invalid_argument("create_channel returned null");
  auto watched = std::make_shared<watched_channel>(std::move(channel), std::move(changed), diagnosis_);
  watched->start();
  return std::make_unique<grpc_connection>(std::move(watched), proxy_);
}

}  // namespace conn_grpc::detail
