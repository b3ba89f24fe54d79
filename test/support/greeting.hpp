// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/client_context.h>

#include <boost/asio/awaitable.hpp>
#include <conn_grpc/unary.hpp>
#include <stdexcept>
#include <string>

#include "greeter.grpc.pb.h"

namespace conn_grpc::test {

/// Greets over the channel, and returns the caller's address as the server sees it.
inline asio::awaitable<std::string> peer_of(channel_ptr channel) {
  const auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  HelloReply reply;
  const auto status = co_await unary(*stub, &Greeter::Stub::async::SayHello, context, HelloRequest(), reply);
  if (!status.ok()) throw std::runtime_error(status.error_message());
  co_return reply.peer();
}

}  // namespace conn_grpc::test
