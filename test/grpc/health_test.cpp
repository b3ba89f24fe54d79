// SPDX-License-Identifier: BSL-1.0
// gRPC's health protocol, with a server in a process of its own.
#include <grpcpp/create_channel.h>
#include <grpcpp/support/status.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <chrono>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/late_server.hpp"
#include "support/observer.hpp"
#include "support/recorded_log.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;

namespace {

/// A pool of one that watches the health of a service, and its server.
struct watched_server {
  explicit watched_server(std::vector<std::string> options = {"--health"}, std::string service = {})
      : server(std::make_unique<server_process>(greeter_server(), port.address(), std::move(options))),
        pool(io, {.name = "pool", .channel = options_for(std::move(service))}) {
    pool.async_run([](conn_grpc::error_code) {});
  }

  [[nodiscard]] conn_grpc::channel_status status() const { return pool.status().channels.at(0); }
  void until(channel_state state) {
    run_until(io, [&] { return status().state == state; });
  }
  [[nodiscard]] std::string peer() {
    std::string peer;
    run(io, [&]() -> asio::awaitable<void> { peer = co_await peer_of(co_await pool.get_channel()); }());
    return peer;
  }

  const reserved_port port;
  std::unique_ptr<server_process> server;
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool;

 private:
  conn_grpc::channel_options options_for(std::string service) {
    auto options = seen.watch({.address = port.address()});
    options.health_service = std::move(service);
    return options;
  }
};

}  // namespace

// The first of this file: attempts that other tests abandon keep the thread for up to 30 s.
TEST_CASE("a pool that is destroyed ends the watch, also between two RPCs of it", "[health]") {
  const bool is_waiting = GENERATE(false, true);
  {
    watched_server f(is_waiting ? std::vector<std::string>{"--broken-health", "no"} : std::vector<std::string>{});
    f.until(is_waiting ? channel_state::unhealthy : channel_state::connected);
  }
  // The completion thread ends when no completion is pending.
  const auto end = std::chrono::steady_clock::now() + 30s;
  bool has_ended = false;
  while (!has_ended && std::chrono::steady_clock::now() < end) has_ended = threads_named("conn_grpc") == 0;
  CHECK(has_ended);
}

TEST_CASE("NOT_SERVING withdraws a channel, and SERVING brings it back over the same connection", "[health]") {
  watched_server f;
  f.until(channel_state::connected);
  const auto peer = f.peer();
  f.server->tell("not-serving");
  f.until(channel_state::unhealthy);
  CHECK(f.pool.try_get_channel().error() == errc::not_connected);
  CHECK(f.pool.status().current_size == 0);
  CHECK(f.status().last_error == "not serving (health service \"\")");
  CHECK(established_to(f.port.number()) == 1);

  f.server->tell("serving");
  f.until(channel_state::connected);
  CHECK(f.peer() == peer);
  CHECK(f.seen.connects == 1);
  CHECK(f.seen.disconnects == 0);
}

TEST_CASE("an RPC goes on while its connection does not serve", "[health]") {
  watched_server f;
  f.until(channel_state::connected);
  std::optional<grpc::Status> status;
  asio::co_spawn(
      f.io,
      [&]() -> asio::awaitable<void> {
        HelloRequest request;
        request.set_delay_ms(300);
        const auto answer = co_await greet(co_await f.pool.get_channel(), request);
        status = answer.status;
      },
      asio::detached);
  f.io.poll();
  f.server->tell("not-serving");
  f.until(channel_state::unhealthy);
  run_until(f.io, [&] { return status.has_value(); });
  CHECK(status->ok());
}

TEST_CASE("a get waits until the service serves", "[health]") {
  watched_server f({"--health"}, "greeter.Greeter");
  f.until(channel_state::unhealthy);
  CHECK(f.status().last_error == "not serving (health service \"greeter.Greeter\"): the server does not know it");
  CHECK(f.seen.connects == 1);
  conn_grpc::channel_ptr got;
  f.pool.async_get_channel(30s, [&](conn_grpc::error_code, conn_grpc::channel_ptr channel) { got = channel; });
  f.io.poll();
  f.server->tell("not-serving greeter.Greeter");
  run_until(f.io, [&] { return f.seen.connects == 1; });
  CHECK_FALSE(got);
  f.server->tell("serving greeter.Greeter");
  run_until(f.io, [&] { return got != nullptr; });
  CHECK(f.status().state == channel_state::connected);
  f.server->tell("not-serving");  // another service
  CHECK_FALSE(f.peer().empty());
  CHECK(f.status().state == channel_state::connected);
}

TEST_CASE("a server without a health service is healthy", "[health]") {
  watched_server f(std::vector<std::string>{});
  f.until(channel_state::connected);
  CHECK_FALSE(f.peer().empty());
  CHECK(f.status().last_error.empty());
}

TEST_CASE("an unhealthy server that is killed is a loss, and the next server serves", "[health]") {
  watched_server f;
  f.until(channel_state::connected);
  f.server->tell("not-serving");
  f.until(channel_state::unhealthy);
  const bool is_killed = GENERATE(true, false);
  if (is_killed)
    f.server->kill();
  else
    f.server->shut_down();
  run_until(f.io, [&] { return f.seen.disconnects == 1; });
  CHECK_THAT(f.status().last_error, has_text("connection lost after"));
  f.server = std::make_unique<server_process>(greeter_server(), f.port.address(), std::vector<std::string>{"--health"});
  run_until(f.io, [&] { return f.seen.connects == 2; });
  CHECK(f.status().state == channel_state::connected);
  CHECK(established_to(f.port.number()) == 1);
}

TEST_CASE("a healthy server that ends is a loss, and its channels are not unhealthy before", "[health]") {
  const bool is_killed = GENERATE(true, false);
  constexpr int channels = 50;
  server_process server(greeter_server(), "127.0.0.1:0", {"--health"});
  asio::io_context io;
  observer seen;
  const recorded_log log;
  auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  options.health_service = "";
  options.debug = true;
  options.logger = log.logger();
  conn_grpc::pool pool(io, {.pool_size = channels, .channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  run_until(io, [&] { return seen.connects == channels; });
  if (is_killed)
    server.kill();
  else
    server.shut_down();
  run_until(io, [&] { return seen.disconnects == channels; });
  CHECK_THAT(log.text(), !has_text("-> unhealthy"));
}

TEST_CASE("an RPC of the health service that fails is made again over the same connection", "[health]") {
  const std::string words = GENERATE("no health today", "Socket closed");
  watched_server f({"--broken-health", words});
  f.until(channel_state::unhealthy);
  CHECK(f.status().last_error == "not serving (health service \"\"): its watch ended: " + words);
  CHECK(f.pool.try_get_channel().error() == errc::not_connected);
  f.until(channel_state::connected);
  CHECK(f.seen.connects == 1);
  CHECK_FALSE(f.peer().empty());
}

TEST_CASE("an attempt ends when the health service does not answer", "[health]") {
  const server_process server(greeter_server(), "127.0.0.1:0", {"--broken-health", ""});
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  options.connect_timeout = 100ms;
  options.health_service = "x";
  conn_grpc::channel channel(io, options);
  channel.async_run([](conn_grpc::error_code) {});
  run_until(io, [&] { return seen.waits == 1; });
  CHECK(channel.status().last_error == "connected, but no answer of the health service \"x\" (given up after 900 ms)");
  CHECK(seen.connects == 0);
  channel.stop();
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (established_to(server.port()) > 0 && std::chrono::steady_clock::now() < end) io.poll();
  CHECK(established_to(server.port()) == 0);
}

TEST_CASE("the health of a channel of the user's own is watched", "[health]") {
  const server_process server(greeter_server(), "127.0.0.1:0", {"--health"});
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  options.create_channel = grpc::CreateCustomChannel;
  options.health_service = "unknown";
  conn_grpc::channel channel(io, options);
  channel.async_run([](conn_grpc::error_code) {});
  run_until(io, [&] { return channel.status().state == channel_state::unhealthy; });
}
