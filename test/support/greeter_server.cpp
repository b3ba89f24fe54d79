// SPDX-License-Identifier: BSL-1.0
// greeter_server ADDRESS: a real gRPC server in a process of its own. Writes a line with its port to stdout once it
// listens, and ends when stdin does, so that it never outlives who started it.
#include <grpcpp/alarm.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "greeter.grpc.pb.h"

namespace {

using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;

class greeter final : public Greeter::CallbackService {
  grpc::ServerUnaryReactor* SayHello(grpc::CallbackServerContext* context, const HelloRequest* request,
                                     HelloReply* reply) override {
    reply->set_message("Hello " + request->name());
    reply->set_peer(context->peer());
    auto* reactor = context->DefaultReactor();
    if (request->delay_ms() <= 0) {
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
    auto alarm = std::make_shared<grpc::Alarm>();
    alarm->Set(std::chrono::system_clock::now() + std::chrono::milliseconds(request->delay_ms()),
               [alarm, reactor](bool) { reactor->Finish(grpc::Status::OK); });
    return reactor;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: greeter_server ADDRESS\n", stderr);
    return 2;
  }
  greeter service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) {
    std::fprintf(stderr, "greeter_server: cannot listen on %s\n", argv[1]);
    return 1;
  }
  std::printf("%d\n", port);
  std::fflush(stdout);

  char ignored = 0;
  while (::read(STDIN_FILENO, &ignored, 1) > 0) {
  }
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}
