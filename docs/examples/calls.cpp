// SPDX-License-Identifier: BSL-1.0
// calls GREETER_SERVER: the snippets of docs/calls.md, and a test of each.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

using namespace examples;
using namespace std::chrono_literals;
using conn_grpc::test::ChatMessage;
using conn_grpc::test::CollectReply;
using conn_grpc::test::CollectRequest;
using conn_grpc::test::CountdownReply;
using conn_grpc::test::CountdownRequest;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using conn_grpc::test::Then;

int used = 0;
void use(const CountdownReply&) { ++used; }
void use(const ChatMessage&) { ++used; }

CountdownRequest countdown(int from, Then then = Then::GO_ON) {
  CountdownRequest request;
  request.set_from(from);
  request.set_then(then);
  return request;
}

asio::awaitable<void> read_replies(conn_grpc::channel_ptr channel) {
  const auto stub = Greeter::NewStub(channel);
  const auto request = countdown(10);
  used = 0;
  //[read
  grpc::ClientContext context;
  auto in = conn_grpc::open(*stub, &Greeter::Stub::async::Countdown, context, request);
  CountdownReply reply;
  while (co_await in.read(reply)) use(reply);
  grpc::Status status = co_await in.finish();
  //]
  require(status.ok() && used == 10);
}

asio::awaitable<void> write_requests(conn_grpc::channel_ptr channel) {
  const auto stub = Greeter::NewStub(channel);
  //[write
  grpc::ClientContext context;
  CollectReply reply;
  auto out = conn_grpc::open(*stub, &Greeter::Stub::async::Collect, context, reply);
  for (int i = 1; i <= 10; ++i) {
    CollectRequest request;
    request.set_number(i);
    bool sent = co_await out.write(std::move(request));
    if (!sent) break;  // finish() says why
  }
  grpc::Status status = co_await out.finish();
  //]
  require(status.ok() && reply.sum() == 55);
}

asio::awaitable<void> read_and_write(conn_grpc::channel_ptr channel) {
  const auto stub = Greeter::NewStub(channel);
  used = 0;
  //[both
  using namespace asio::experimental::awaitable_operators;
  grpc::ClientContext context;
  auto both = conn_grpc::open(*stub, &Greeter::Stub::async::Chat, context);
  const auto listen = [&]() -> asio::awaitable<void> {
    ChatMessage message;
    while (co_await both.read(message)) use(message);
  };
  const auto talk = [&]() -> asio::awaitable<void> {
    ChatMessage message;
    for (const char* text : {"hello", "and", "goodbye"}) {
      message.set_text(text);
      bool sent = co_await both.write(message);
      if (!sent) co_return;
    }
    co_await both.writes_done();
  };
  co_await (listen() && talk());
  grpc::Status status = co_await both.finish();
  //]
  require(status.ok() && used == 3);
}

asio::awaitable<void> own_the_context(conn_grpc::channel_ptr channel) {
  const auto stub = Greeter::NewStub(channel);
  const auto request = countdown(10, Then::HANG);
  //[owned
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + 1h);
  auto in = conn_grpc::open(*stub, &Greeter::Stub::async::Countdown, std::move(context), request);
  //]
  CountdownReply reply;
  bool read = co_await in.read(reply);
  require(read);
}

asio::awaitable<void> limit_one_read(conn_grpc::channel_ptr channel) {
  const auto stub = Greeter::NewStub(channel);
  const auto request = countdown(0, Then::HANG);
  grpc::ClientContext context;
  auto in = conn_grpc::open(*stub, &Greeter::Stub::async::Countdown, context, request);
  CountdownReply reply;
  //[limit
  using namespace asio::experimental::awaitable_operators;
  asio::steady_timer timer(co_await asio::this_coro::executor, 50ms);
  auto first = co_await (in.read(reply) || timer.async_wait(asio::use_awaitable));
  if (first.index() == 1) {  // the time is over, and the RPC has been cancelled
    grpc::Status status = co_await in.finish();
    require(status.error_code() == grpc::StatusCode::CANCELLED);
  }
  //]
  require(first.index() == 1);
}

//[call
// One line per RPC: a channel, a deadline, and another attempt if no server has executed it.
asio::awaitable<std::string> greet(const conn_grpc::client<Greeter>& greeter, const std::string& name) {
  HelloRequest request;
  request.set_name(name);
  HelloReply reply;
  const grpc::Status status =
      co_await greeter.call(&Greeter::Stub::async::SayHello, request, reply, {.timeout = 300ms});
  co_return status.ok() ? reply.message() : status.error_message();
}
//]

//[lease
// The channel is in use until `leased` is destroyed.
asio::awaitable<grpc::Status> greet_over_lease(conn_grpc::pool& pool, const HelloRequest& request, HelloReply& reply) {
  const conn_grpc::lease leased = co_await pool.get_lease(1s);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 500ms);
  const auto status =
      co_await conn_grpc::unary(leased.stub<Greeter>(), &Greeter::Stub::async::SayHello, context, request, reply);
  leased.report(status);
  co_return status;
}
//]

//[client_stream
// The stream holds its lease. Without a channel the first read is false, and finish() says why.
asio::awaitable<grpc::Status> count_down(const conn_grpc::client<Greeter>& greeter, const CountdownRequest& request) {
  auto in = co_await greeter.open(&Greeter::Stub::async::Countdown, request, {.timeout = 5s});
  CountdownReply reply;
  while (co_await in.read(reply)) use(reply);
  co_return co_await in.finish();
}
//]

asio::awaitable<void> call(conn_grpc::pool& pool) {
  const conn_grpc::client<Greeter> greeter(pool);
  const std::string name = "Ada";
  const auto greeting = co_await greet(greeter, name);
  require(greeting == "Hello Ada");
  HelloReply reply;
  const HelloRequest request;
  const auto status = co_await greet_over_lease(pool, request, reply);
  require(status.ok());
  used = 0;
  const auto numbers = countdown(10);
  const auto counted = co_await count_down(greeter, numbers);
  require(counted.ok() && used == 10);
}

asio::awaitable<void> all(conn_grpc::pool& pool) {
  auto channel = co_await pool.get_channel(20s);
  co_await read_replies(channel);
  co_await write_requests(channel);
  co_await read_and_write(channel);
  co_await own_the_context(channel);
  co_await limit_one_read(channel);
  co_await call(pool);
  pool.stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  end_within_a_minute();
  const conn_grpc::test::server_process server(argv[1], "127.0.0.1:0");
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = {.address = "127.0.0.1:" + std::to_string(server.port())}});
  pool.async_run(asio::detached);
  asio::co_spawn(io, all(pool), rethrow);
  io.run();
}
