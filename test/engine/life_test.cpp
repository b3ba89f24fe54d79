// SPDX-License-Identifier: BSL-1.0
// The scope ends before and after the context, the pool, the channels and the RPCs.
#include <grpc/event_engine/event_engine.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <conn_grpc/streams.hpp>
#include <conn_grpc/telemetry.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine_fixture.hpp"

using namespace conn_grpc::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using conn_grpc::event_engine_scope;

namespace {

std::string address_of(const server_process& server) { return "127.0.0.1:" + std::to_string(server.port()); }

void connect(asio::io_context& io, const std::shared_ptr<grpc::Channel>& channel) {
  channel->GetState(true);
  run_grpc_until(io, [&] { return is_ready(channel); });
}

}  // namespace

TEST_CASE("the scope ends before a channel that is kept", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  std::optional<event_engine_scope> scope(io);
  const auto channel = bare_channel(address_of(server));
  connect(io, channel);
  scope.reset();
  CHECK(established_to(server.port()) == 0);
  // An RPC on it ends.
  bare_call call(channel);
  call.context.set_deadline(std::chrono::system_clock::now() + 5s);
  call.start();
  wait_until([&] { return call.called.load(); });
  CHECK(call.status.error_code() == grpc::StatusCode::UNAVAILABLE);
  // Outside of the scope gRPC has its own engine again.
  bare_call own(bare_channel(address_of(server)));
  own.start();
  wait_until([&] { return own.called.load(); });
  CHECK(own.status.ok());
}

TEST_CASE("the scope ends while RPCs are in flight", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  std::optional<event_engine_scope> scope(io);
  const auto channel = bare_channel(address_of(server));
  connect(io, channel);
  bare_call call(channel, 60'000);
  call.start();
  io.restart();
  io.poll();
  scope.reset();
  CHECK(call.called);
  CHECK(call.status.error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("the context ends before the scope and the channel", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  std::optional<asio::io_context> io(std::in_place);
  std::optional<event_engine_scope> scope(*io);
  auto channel = bare_channel(address_of(server));
  connect(*io, channel);
  bare_call call(channel, 60'000);
  call.start();
  io->restart();
  io->poll();
  io.reset();
  CHECK(established_to(server.port()) == 0);
  wait_until([&] { return call.called.load(); });
  CHECK(call.status.error_code() == grpc::StatusCode::UNAVAILABLE);
  SECTION("then the channel, then the scope") {
    channel.reset();
    scope.reset();
  }
  SECTION("then the scope, then the channel") {
    scope.reset();
    channel.reset();
  }
}

TEST_CASE("the context ends with an RPC of a coroutine in flight", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  std::optional<asio::io_context> io(std::in_place);
  const event_engine_scope scope(*io);
  const auto channel = bare_channel(address_of(server));
  connect(*io, channel);
  bool destroyed = false;
  struct noted {
    bool& flag;
    ~noted() { flag = true; }
  };
  asio::co_spawn(
      *io,
      [&]() -> asio::awaitable<void> {
        const noted at_end{destroyed};
        co_await say_hello(channel, 60'000);
      },
      asio::detached);
  io->restart();
  io->poll();
  io.reset();
  CHECK(destroyed);
}

TEST_CASE("the scope ends in a handler of the context", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  std::optional<event_engine_scope> scope(io);
  grpc::Status first, second;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        const auto channel = bare_channel(address_of(server));
        first = co_await say_hello(channel);
        scope.reset();
        second = co_await say_hello(channel);
      },
      asio::detached);
  io.run();
  CHECK(first.ok());
  CHECK(second.error_code() == grpc::StatusCode::UNAVAILABLE);
}

// The destructor waits in the turn, and gRPC ends the cancelled RPC after the write.
TEST_CASE("a stream is destroyed in a turn that has put its writes off", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto channel = bare_channel(address_of(server));
  const auto stub = Greeter::NewStub(channel);
  grpc::Status before, after;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        {
          grpc::ClientContext context;
          auto stream = conn_grpc::open(*stub, &Greeter::Stub::async::Chat, context);
          ChatMessage message;
          message.set_text("text");
          co_await stream.write(message);
          before = co_await say_hello(channel);  // the stream has begun, and this goes on in a turn
          grpc_event_engine::experimental::GetDefaultEventEngine()->Run([] {});  // the turn has more to call
          stream.async_write(message, asio::detached);
        }
        after = co_await say_hello(channel);
      },
      asio::detached);
  io.run();
  CHECK(before.ok());
  CHECK(after.ok());
}

TEST_CASE("a pool outlives the scope, and connects with gRPC's own engine", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  std::optional<event_engine_scope> scope(io);
  conn_grpc::channel_options options{.address = address_of(server), .backoff = {.min = 10ms, .max = 10ms}};
  options.telemetry = std::make_shared<conn_grpc::telemetry>();
  std::vector<std::string> reasons;
  options.telemetry->attach("reasons", conn_grpc::event::channel_disconnected,
                            [&](const conn_grpc::telemetry_event& e) { reasons.emplace_back(e.error); });
  conn_grpc::pool pool{io, {.name = "pool", .pool_size = 3, .channel = options}};
  pool.async_run(asio::detached);
  std::vector<grpc::Status> statuses;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        co_await pool.connected(3, 20s);
        auto channel = co_await pool.get_channel();
        statuses.push_back(co_await say_hello(channel));
        scope.reset();
        while (reasons.size() < 3) {  // one channel may be connected again before another is lost
          asio::steady_timer soon(co_await asio::this_coro::executor, 1ms);
          co_await soon.async_wait(asio::use_awaitable);
        }
        co_await pool.connected(3, 20s);
        channel = co_await pool.get_channel();
        statuses.push_back(co_await say_hello(channel));
        pool.stop();
      },
      asio::detached);
  io.run();
  REQUIRE(statuses.size() == 2);
  CHECK(statuses[0].ok());
  CHECK(statuses[1].error_message().empty());
  reasons.resize(3);  // without those of the stop
  CHECK(reasons == std::vector<std::string>(3, "its event_engine_scope has ended"));
}

TEST_CASE("a pool ends after its context and its scope", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  std::optional<asio::io_context> io(std::in_place);
  std::optional<event_engine_scope> scope(*io);
  std::optional<conn_grpc::pool> pool(
      std::in_place, *io,
      conn_grpc::pool_options{.name = "pool", .pool_size = 3, .channel = {.address = address_of(server)}});
  pool->async_run(asio::detached);
  run_grpc_until(*io, [&] { return pool->status().current_size == 3; });
  SECTION("context, scope, pool") {
    io.reset();
    scope.reset();
    pool.reset();
  }
  SECTION("context, pool, scope") {
    io.reset();
    pool.reset();
    scope.reset();
  }
  SECTION("scope, context, pool") {
    scope.reset();
    io.reset();
    pool.reset();
  }
  SECTION("scope, pool, context") {
    scope.reset();
    pool.reset();
    io.reset();
  }
  SECTION("pool, context, scope") {
    pool.reset();
    io.reset();
    scope.reset();
  }
  SECTION("pool, scope, context") {
    pool.reset();
    scope.reset();
    io.reset();
  }
}

TEST_CASE("scopes follow one another", "[engine][life]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  for (int i = 0; i < 20; ++i) {
    const event_engine_scope scope(io);
    grpc::Status status(grpc::StatusCode::UNKNOWN, "never ended");
    asio::co_spawn(
        io, [&]() -> asio::awaitable<void> { status = co_await say_hello(bare_channel(address_of(server))); },
        asio::detached);
    io.restart();
    io.run();
    CHECK(status.error_message().empty());
  }
  wait_until([] { return threads_named("conn_grpc event") == 0; });
}
