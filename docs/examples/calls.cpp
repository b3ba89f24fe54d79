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

asio::awaitable<void> all(conn_grpc::pool& pool) {
  auto channel = co_await pool.get_channel(20s);
  co_await read_replies(channel);
  co_await write_requests(channel);
  co_await read_and_write(channel);
  co_await own_the_context(channel);
  co_await limit_one_read(channel);
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
