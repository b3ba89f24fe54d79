// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "greeter.grpc.pb.h"

namespace conn_grpc::test {

/// An RPC by gRPC's callback API, without this library.
struct bare_call {
  bare_call(const std::shared_ptr<grpc::Channel>& channel, int delay_ms = 0) : stub(Greeter::NewStub(channel)) {
    request.set_name("bare");
    request.set_delay_ms(delay_ms);
  }

  void start() {
    stub->async()->SayHello(&context, &request, &reply, [this](grpc::Status s) {
      status = std::move(s);
      called_on = std::this_thread::get_id();
      called = true;
    });
  }

  std::unique_ptr<Greeter::Stub> stub;
  grpc::ClientContext context;
  HelloRequest request;
  HelloReply reply;
  grpc::Status status;
  std::thread::id called_on;
  std::atomic<bool> called{false};
};

}  // namespace conn_grpc::test
