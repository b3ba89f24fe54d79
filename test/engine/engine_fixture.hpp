// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <conn_grpc/event_engine.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <memory>
#include <string>
#include <thread>

#include "greeter.grpc.pb.h"
#include "support/background.hpp"
#include "support/bare_call.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/late_server.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

namespace conn_grpc::test {

inline std::shared_ptr<grpc::Channel> bare_channel(const std::string& address, grpc::ChannelArguments arguments = {}) {
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

/// An RPC of a coroutine, over that channel.
inline asio::awaitable<grpc::Status> say_hello(channel_ptr channel, int delay_ms = 0) {
  const auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  HelloRequest request;
  HelloReply reply;
  request.set_name("coroutine");
  request.set_delay_ms(delay_ms);
  co_return co_await unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
}

/// Runs the context until that has happened. What gRPC does is not work of the context.
template <class Happened>
void run_grpc_until(asio::io_context& io, Happened happened) {
  const auto work = asio::make_work_guard(io);
  run_until(io, happened);
}

}  // namespace conn_grpc::test
