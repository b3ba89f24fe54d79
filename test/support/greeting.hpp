// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <boost/asio/awaitable.hpp>
#include <conn_grpc/unary.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "greeter.grpc.pb.h"

namespace conn_grpc::test {

struct greeting {
  grpc::Status status;
  HelloReply reply;
};

/// Makes one RPC over the channel.
inline asio::awaitable<greeting> greet(channel_ptr channel, HelloRequest request = {}) {
  const auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  greeting answer;
  answer.status = co_await unary(*stub, &Greeter::Stub::async::SayHello, context, request, answer.reply);
  co_return answer;
}

/// Greets over the channel, and returns the caller's address as the server sees it.
inline asio::awaitable<std::string> peer_of(channel_ptr channel) {
  const auto answer = co_await greet(std::move(channel));
  if (!answer.status.ok()) throw std::runtime_error(answer.status.error_message());
  co_return answer.reply.peer();
}

}  // namespace conn_grpc::test
