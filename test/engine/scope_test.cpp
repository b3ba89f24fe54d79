// SPDX-License-Identifier: BSL-1.0
// RPCs inside of a scope, and where they complete.
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include <stdexcept>

#include "engine/engine_fixture.hpp"

using namespace conn_grpc::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using conn_grpc::event_engine_scope;

TEST_CASE("a bare RPC calls back on the thread that runs the context", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  bare_call call(bare_channel("127.0.0.1:" + std::to_string(server.port())));
  call.start();
  run_grpc_until(io, [&] { return call.called.load(); });
  CHECK(call.status.ok());
  CHECK(call.reply.message() == "Hello bare");
  CHECK(call.called_on == std::this_thread::get_id());
}

// The one that stands in for the context, and gRPC's own grpc_global_timer, which does nothing.
TEST_CASE("a pool and its RPCs need the program's thread and two more", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const auto before = threads();
  asio::io_context io;
  {
    const event_engine_scope scope(io);
    conn_grpc::pool pool{
        io, {.name = "pool", .pool_size = 5, .channel = {.address = "127.0.0.1:" + std::to_string(server.port())}}};
    pool.async_run(asio::detached);
    grpc::Status status(grpc::StatusCode::UNKNOWN, "never ended");
    std::size_t most = 0;
    std::thread::id resumed_on;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          co_await pool.connected(5, 20s);
          for (int i = 0; i < 20; ++i) {
            auto channel = co_await pool.get_channel();
            status = co_await say_hello(channel);
            most = std::max(most, threads());
          }
          resumed_on = std::this_thread::get_id();
          pool.stop();
        },
        asio::detached);
    io.run();
    CHECK(status.ok());
    CHECK(status.error_message().empty());
    CHECK(resumed_on == std::this_thread::get_id());
    CHECK(most <= before + 2);
    CHECK(threads_named("conn_grpc event") == 1);
  }
  wait_until([&] { return threads() == before; });
}

TEST_CASE("the context's run() returns although a channel that is kept is connected", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()));
  grpc::Status status;
  asio::co_spawn(io, [&]() -> asio::awaitable<void> { status = co_await say_hello(channel); }, asio::detached);
  io.run();
  CHECK(status.ok());
  CHECK(established_to(server.port()) == 1);
  CHECK(io.stopped());
}

TEST_CASE("a scope and a channel before the first run() do not stop the context", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()));
  channel->GetState(true);
  CHECK_FALSE(io.stopped());
  run_grpc_until(io, [&] { return is_ready(channel); });
}

TEST_CASE("a handler's exception leaves the context's run()", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()));
  const auto stub = Greeter::NewStub(channel);
  struct call {
    grpc::ClientContext context;
    HelloRequest request;
    HelloReply reply;
  };
  call first, second;
  int completed = 0;
  for (auto* c : {&first, &second})
    conn_grpc::async_unary(*stub, &Greeter::Stub::async::SayHello, c->context, c->request, c->reply,
                           asio::bind_executor(io, [&](grpc::Status) {
                             if (++completed == 1) throw std::logic_error("thrown by the first handler");
                           }));
  CHECK_THROWS_AS(io.run(), std::logic_error);
  CHECK(completed >= 1);  // Asio lets the turn end first
  io.restart();
  io.run();
  CHECK(completed == 2);
}

TEST_CASE("handlers of strands are not called while the strand is busy", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()));
  std::atomic<int> inside{0}, most{0};
  int done = 0;
  {
    const auto strand = asio::make_strand(io);
    for (int i = 0; i < 50; ++i)
      asio::co_spawn(
          strand,
          [&]() -> asio::awaitable<void> {
            for (int n = 0; n < 20; ++n) {
              const auto status = co_await say_hello(channel);
              if (const int now = ++inside; now > most) most = now;
              if (!status.ok()) throw std::runtime_error(status.error_message());
              --inside;
            }
            ++done;
          },
          asio::detached);
    background threads(io, 3);
    wait_until([&] {
      std::promise<int> seen;
      asio::post(strand, [&] { seen.set_value(done); });
      return seen.get_future().get() == 50;
    });
  }
  CHECK(most == 1);
}

TEST_CASE("a context of several threads", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()));
  std::atomic<int> ok{0}, done{0};
  background threads(io, 4);
  for (int i = 0; i < 64; ++i)
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          for (int n = 0; n < 50; ++n) {
            const auto status = co_await say_hello(channel);
            if (status.ok()) ++ok;
          }
          ++done;
        },
        asio::detached);
  wait_until([&] { return done == 64; });
  CHECK(ok == 64 * 50);
}

TEST_CASE("names, and addresses of all kinds", "[engine]") {
  asio::io_context io;
  const event_engine_scope scope(io);
  const auto ends_ok = [&](const std::string& address) {
    grpc::Status status(grpc::StatusCode::UNKNOWN, "never ended");
    asio::co_spawn(
        io, [&]() -> asio::awaitable<void> { status = co_await say_hello(bare_channel(address)); }, asio::detached);
    io.restart();
    io.run();
    INFO(address << ": " << status.error_message());
    return status.ok();
  };
  const server_process server(greeter_server(), "127.0.0.1:0");
  CHECK(ends_ok("localhost:" + std::to_string(server.port())));
  CHECK(ends_ok("dns:///localhost:" + std::to_string(server.port())));
  CHECK(ends_ok("ipv4:127.0.0.1:" + std::to_string(server.port())));
  CHECK_FALSE(ends_ok("dns:///no-such-name.invalid:1"));
  const server_process over_ipv6(greeter_server(), "[::1]:0");
  CHECK(ends_ok("ipv6:%5B::1%5D:" + std::to_string(over_ipv6.port())));
  CHECK(ends_ok("[::1]:" + std::to_string(over_ipv6.port())));
  const auto path = "unix-abstract:conn_grpc-engine-" + std::to_string(::getpid());
  const server_process over_unix(greeter_server(), path);
  CHECK(ends_ok(path));
}

TEST_CASE("RPCs complete while the context polls, and a busy_poll out of its range is refused", "[engine]") {
  using conn_grpc::event_engine_options;
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  for (const auto refused : {-1us, 1'000'001us}) {
    CHECK_THROWS_AS(event_engine_scope(io, event_engine_options{.busy_poll = refused}), boost::system::system_error);
  }
  const event_engine_scope scope(io, {.busy_poll = 1s});
  int ok = 0;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()));
        for (int i = 0; i < 20; ++i) {
          const auto status = co_await say_hello(channel, i % 2);
          ok += status.ok() ? 1 : 0;
        }
      },
      asio::detached);
  io.run();  // returns, although the context polls
  CHECK(ok == 20);
  io.restart();
  const auto work = asio::make_work_guard(io);
  for (int i = 0; i < 100; ++i) REQUIRE(io.poll_one() == 1);
}

TEST_CASE("a context that lacks locks is refused, because other threads use its sockets", "[engine]") {
  for (const int hint : {BOOST_ASIO_CONCURRENCY_HINT_UNSAFE, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO}) {
    asio::io_context unsafe(hint);
    CHECK_THROWS_AS(event_engine_scope(unsafe), boost::system::system_error);
  }
  for (const int hint : {1, 2, BOOST_ASIO_CONCURRENCY_HINT_SAFE}) {
    asio::io_context safe(hint);
    CHECK_NOTHROW(event_engine_scope(safe));
  }
}

TEST_CASE("sockets of one context, callbacks of another", "[engine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io, sockets_io;
  const event_engine_scope scope(io);
  const event_engine_scope sockets(sockets_io, conn_grpc::event_engine_use::only_sockets);
  CHECK_THROWS_AS(event_engine_scope(sockets_io), std::logic_error);
  grpc::ChannelArguments arguments;
  sockets.add_to(arguments);
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server.port()), arguments);
  grpc::Status status;
  std::thread::id resumed_on;
  background sockets_thread(sockets_io);
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        status = co_await say_hello(channel);
        resumed_on = std::this_thread::get_id();
      },
      asio::detached);
  io.run();
  CHECK(status.ok());
  CHECK(resumed_on == std::this_thread::get_id());
}
