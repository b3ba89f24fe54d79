// SPDX-License-Identifier: BSL-1.0
// testing_without_server: the snippets of docs/testing.md. Tests a function of a service without a network.
#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"

namespace {

using namespace examples;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using namespace std::chrono_literals;

//[service
asio::awaitable<std::string> greeting_for(conn_grpc::pool& greeter, std::string name) {
  auto stub = Greeter::NewStub(co_await greeter.get_channel());
  grpc::ClientContext context;
  HelloRequest request;
  request.set_name(std::move(name));
  HelloReply reply;
  auto status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  if (!status.ok()) throw std::runtime_error(status.error_message());
  co_return reply.message();
}
//]

//[fake
class fake_greeter : public Greeter::CallbackService {
 public:
  [[nodiscard]] std::shared_ptr<grpc::Channel> channel() { return server_->InProcessChannel({}); }

 private:
  grpc::ServerUnaryReactor* SayHello(grpc::CallbackServerContext* context, const HelloRequest* request,
                                     HelloReply* reply) override {
    reply->set_message("fake hello " + request->name());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  std::unique_ptr<grpc::Server> server_ = grpc::ServerBuilder().RegisterService(this).BuildAndStart();
};
//]

//[run
std::string result_of(asio::io_context& io, asio::awaitable<std::string> tested) {
  auto result = asio::co_spawn(io, std::move(tested), asio::use_future);
  io.restart();
  io.run();
  return result.get();  // throws what the coroutine has thrown
}
//]

void test_with_a_fake_server() {
  //[mock
  fake_greeter fake;
  asio::io_context io;
  conn_grpc::pool greeter(io, {.channel = {.address = "unused", .mock = [&] { return fake.channel(); }}});
  require(result_of(io, greeting_for(greeter, "Ada")) == "fake hello Ada");
  //]
}

void test_without_a_connection() {
  //[null
  asio::io_context io;
  conn_grpc::pool greeter(io, {.channel = {.address = "unused", .mock = [] { return nullptr; }}});
  try {
    (void)result_of(io, greeting_for(greeter, "Ada"));
    require(false);
  } catch (const boost::system::system_error& e) {
    require(e.code() == conn_grpc::errc::not_connected);
  }
  //]
}

void test_with_faults() {
  fake_greeter fake;
  asio::io_context io;
  //[faults
  int attempts = 0;
  conn_grpc::channel_options options{.address = "unused", .backoff = {.min = 1ms, .max = 1ms}};
  options.create_channel = [&](const std::string&, const auto& credentials, const auto& arguments) {
    const bool refused = ++attempts % 2 == 1;
    return refused ? grpc::CreateCustomChannel("unix:/nowhere", credentials, arguments) : fake.channel();
  };
  conn_grpc::pool greeter(io, {.channel = options});
  //]
  connection_news news(io);
  greeter.async_run(asio::detached);
  const auto body = [&]() -> asio::awaitable<void> {
    co_await news.until([&] { return greeter.try_get_channel().has_value(); });
    require(attempts == 2);
    require(co_await greeting_for(greeter, "Ada") == "fake hello Ada");
    require(!greeter.status().channels.front().last_error.empty());
    greeter.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();
}

}  // namespace

int main() {
  end_within_a_minute();
  test_with_a_fake_server();
  test_without_a_connection();
  test_with_faults();
}
