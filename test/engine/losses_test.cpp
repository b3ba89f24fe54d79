// SPDX-License-Identifier: BSL-1.0
// Peers that go, refuse and stay silent.
#include "engine/engine_fixture.hpp"
#include "support/background.hpp"
#include "support/listener.hpp"

#include <algorithm>
#include <array>
#include <csignal>

using namespace conn_grpc::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using conn_grpc::event_engine_scope;

TEST_CASE("the server is killed with RPCs in flight, and gRPC retries", "[engine][losses]") {
  const reserved_port port;
  asio::io_context io;
  const event_engine_scope scope(io);
  for (int round = 0; round < 5; ++round) {
    server_process server(greeter_server(), port.address());
    const auto channel = bare_channel(port.address());
    int ended = 0, begun = 0;
    bool stop = false;
    // Each RPC that ends begins another one, so that RPCs begin all the time.
    for (int i = 0; i < 100; ++i)
      asio::co_spawn(
          io,
          [&]() -> asio::awaitable<void> {
            while (!stop) {
              ++begun;
              const auto status = co_await say_hello(channel);
              if (!status.ok()) stop = true;
            }
            ++ended;
          },
          asio::detached);
    run_grpc_until(io, [&] { return begun > 2'000; });
    server.kill();
    run_grpc_until(io, [&] { return ended == 100; });
    CHECK(ended == 100);
  }
}

TEST_CASE("the reason of a failed attempt is gRPC's own", "[engine][losses]") {
  asio::io_context io;
  const event_engine_scope scope(io);
  grpc::Status status;
  const reserved_port port;
  asio::co_spawn(
      io, [&]() -> asio::awaitable<void> { status = co_await say_hello(bare_channel(port.address())); },
      asio::detached);
  io.run();
  CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK_THAT(status.error_message(), has_text("Connection refused"));
}

TEST_CASE("a silent peer's socket is closed when the attempt is over", "[engine][losses]") {
  asio::io_context io;
  const event_engine_scope scope(io);
  const listener silent(io, manner::stays_silent);
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  {
    const auto channel = bare_channel(silent.address(), arguments);
    channel->GetState(true);
    run_grpc_until(io, [&] { return silent.closed_by_client() >= 2; });
  }
  run_grpc_until(io, [&] { return silent.closed_by_client() == silent.accepted(); });
}

TEST_CASE("a pool of 100 connects, loses its server and comes back", "[engine][losses]") {
  late_server server;
  server.start();
  asio::io_context io;
  const event_engine_scope scope(io);
  conn_grpc::pool pool{io, {.name = "pool", .pool_size = 100, .channel = server.options()}};
  pool.async_run(asio::detached);
  for (int round = 0; round < 3; ++round) {
    run_grpc_until(io, [&] { return pool.status().current_size == 100; });
    server.kill();
    run_grpc_until(io, [&] { return pool.status().current_size == 0; });
    server.start();
  }
  pool.stop();
  io.run();
}

// gRPC's control work that has waited for 2 ms may run on the library's thread. Then this thread may
// see the loss earlier than the pool. So only a loss of a short turn counts.
TEST_CASE("a pool does not return a channel that gRPC knows to be lost", "[engine][losses]") {
  const int signal = GENERATE(SIGKILL, SIGTERM);  // the connections are closed, or there is a GOAWAY before
  const reserved_port port;
  asio::io_context io;
  const event_engine_scope scope(io);
  conn_grpc::pool pool{
      io,
      {.name = "pool", .pool_size = 2, .channel = {.address = port.address(), .backoff = {.min = 10ms, .max = 10ms}}}};
  pool.async_run(asio::detached);
  for (bool counts = false; !counts;) {
    const server_process server(greeter_server(), port.address());
    run_grpc_until(io, [&] { return pool.status().current_size == 2; });
    const std::array channels{pool.try_get_channel().value(), pool.try_get_channel().value()};
    const auto lost = [&] {
      return std::ranges::find_if(channels, [](const auto& c) { return c->GetState(false) != GRPC_CHANNEL_READY; });
    };
    CHECK(::kill(server.pid(), signal) == 0);
    wait_until([&] {
      const auto begin = std::chrono::steady_clock::now();
      io.poll_one();
      counts = std::chrono::steady_clock::now() - begin < 1ms;
      return lost() != channels.end();
    });
    for (int pick = 0; counts && pick < 2; ++pick) CHECK(pool.try_get_channel().value() != *lost());
    if (!counts) run_grpc_until(io, [&] { return pool.status().current_size == 0; });
  }
  pool.stop();
  io.run();
}

namespace {

// When a GOAWAY comes with the SETTINGS, gRPC 1.83 does not report it to the channel. It retries
// the RPC, without a pause, until the connection is closed. With gRPC's own engine, another thread
// notices that.
grpc::Status status_of_retried_rpc(manner m, std::chrono::milliseconds time) {
  asio::io_context peers;
  const listener peer(peers, m);
  const auto address = peer.address();
  const background running(peers);
  asio::io_context io;
  const event_engine_scope scope(io);
  grpc::Status status;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        const auto stub = Greeter::NewStub(bare_channel(address));
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + time);
        HelloRequest request;
        HelloReply reply;
        status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
      },
      asio::detached);
  io.run();
  return status;
}

}  // namespace

TEST_CASE("an RPC that gRPC retries in the only thread ends with UNAVAILABLE when the peer closes",
          "[engine][losses]") {
  CHECK(status_of_retried_rpc(manner::says_goaway_and_closes, 1h).error_code() == grpc::StatusCode::UNAVAILABLE);
}

TEST_CASE("an RPC that gRPC retries in the only thread ends at its deadline", "[engine][losses]") {
  CHECK(status_of_retried_rpc(manner::says_goaway, 50ms).error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
}
