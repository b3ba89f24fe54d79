// SPDX-License-Identifier: BSL-1.0
// Connections that end, on real sockets: the reason of the loss, and the next attempt.
#include <grpcpp/create_channel.h>
#include <grpcpp/support/status.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

/// One RPC that the server answers after a while.
asio::awaitable<grpc::Status> slow_greeting(channel_ptr channel, std::chrono::milliseconds delay) {
  HelloRequest request;
  request.set_delay_ms(static_cast<std::int32_t>(delay.count()));
  const auto answer = co_await greet(std::move(channel), request);
  co_return answer.status;
}

/// Makes RPCs of this length, each over a channel of `get`, until an RPC succeeds.
/// Returns how many have failed.
template <class Get>
asio::awaitable<int> failures_before_success(Get get, std::chrono::milliseconds delay) {
  for (int failures = 0;; ++failures) {
    const channel_ptr channel = co_await get();
    const auto status = co_await slow_greeting(channel, delay);
    if (status.ok()) co_return failures;
  }
}

std::string address_of(const server_process& server) { return "127.0.0.1:" + std::to_string(server.port()); }

}  // namespace

TEST_CASE("a channel whose RPCs failed with its connection is not handed out when their callers continue", "[loss]") {
  const bool users_own = GENERATE(false, true);
  CAPTURE(users_own);
  server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = address_of(server)});
  if (users_own) options.create_channel = grpc::CreateCustomChannel;
  conn_grpc::pool pool(io, {.pool_size = 3, .channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  int in_flight = 0;
  int dead_channels = 0;
  const auto call = [&]() -> asio::awaitable<void> {
    const auto channel = co_await pool.get_channel();
    ++in_flight;
    const auto status = co_await slow_greeting(channel, 1h);
    CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
    const auto next = pool.try_get_channel();
    if (next && *next == channel) ++dead_channels;
    --in_flight;
    seen.changed.notify();
  };
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 3; });
    for (int i = 0; i < 150; ++i) asio::co_spawn(io, call(), asio::detached);
    // An answered RPC on each of the channels was sent after those.
    for (int i = 0; i < 3; ++i) CHECK((co_await slow_greeting(co_await pool.get_channel(), 0ms)).ok());
    REQUIRE(in_flight == 150);
    server.kill();
    co_await seen.until([&] { return in_flight == 0; });
    // With channels of the user's own the library guesses. On a machine under load the
    // guess may be wrong.
    if (!users_own) CHECK(dead_channels == 0);
    if (users_own && dead_channels > 0) WARN(dead_channels << " of 150 callers were given a dead channel");
  }());
}

TEST_CASE("a server that sends the words of a loss itself keeps its connection", "[loss]") {
  server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = address_of(server)})});
  pool.async_run([](conn_grpc::error_code) {});
  const bool cancels = GENERATE(false, true);
  CAPTURE(cancels);
  constexpr int calls = 100;
  int ended = 0;
  const auto call = [&]() -> asio::awaitable<void> {
    HelloRequest request;
    request.set_fail_with("Socket closed");
    const auto answer = co_await greet(co_await pool.get_channel(), request);
    CHECK((answer.status.error_code() == grpc::StatusCode::UNAVAILABLE || cancels));
    ++ended;
    seen.changed.notify();
  };
  std::deque<asio::cancellation_signal> cancel(calls);
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    for (auto& signal : cancel) asio::co_spawn(io, call(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
    // The server has answered the others when it answers this one.
    CHECK((co_await slow_greeting(co_await pool.get_channel(), 0ms)).ok());
    if (cancels)
      for (auto& signal : cancel) signal.emit(asio::cancellation_type::terminal);
    co_await seen.until([&] { return ended == calls; });
  }());
  CHECK(pool.status().current_size == 1);
  CHECK(pool.status().channels.front().attempts == 1);
}

TEST_CASE("a context that ends while RPCs wait for the report of a loss waits for none of them", "[loss]") {
  server_process server(greeter_server(), "127.0.0.1:0");
  auto io = std::make_unique<asio::io_context>();
  observer seen;
  conn_grpc::pool pool(*io, {.channel = seen.watch({.address = address_of(server)})});
  pool.async_run([](conn_grpc::error_code) {});
  const auto call = [&]() -> asio::awaitable<void> {
    HelloRequest request;
    request.set_fail_with("Socket closed");
    (void)co_await greet(co_await pool.get_channel(), request);
  };
  run(*io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    for (int i = 0; i < 20; ++i) asio::co_spawn(*io, call(), asio::detached);
    CHECK((co_await slow_greeting(co_await pool.get_channel(), 0ms)).ok());
  }());
  io.reset();
  CHECK(pool.try_get_channel().error() == conn_grpc::errc::stopped);
}

TEST_CASE("the reason of a loss is in the status, and in the event", "[loss]") {
  const bool in_flight = GENERATE(true, false);
  server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = address_of(server)});
  options.telemetry = std::make_shared<conn_grpc::telemetry>();
  std::string reason;
  std::string address;
  options.telemetry->attach("loss", conn_grpc::event::channel_disconnected, [&](const conn_grpc::telemetry_event& e) {
    reason = e.error;
    address = e.address;
  });
  conn_grpc::pool pool(io, {.channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  std::string last_error;
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    if (in_flight) asio::co_spawn(io, slow_greeting(co_await pool.get_channel(), 1h), asio::detached);
    CHECK((co_await slow_greeting(co_await pool.get_channel(), 0ms)).ok());
    server.kill();
    co_await seen.until([&] { return !reason.empty(); });
    last_error = pool.status().channels.front().last_error;
  }());
  CHECK(address == address_of(server));
  if (in_flight)
    CHECK_THAT(reason, has_text("Socket closed") || has_text("Connection reset by peer"));
  else
    CHECK_THAT(reason, has_text("closed by the peer, no RPC in flight"));
  CHECK_THAT(last_error, has_text("connection lost after") || has_text("Connection refused"));
}

TEST_CASE("a server that closes connections in order is connected to again without a backoff", "[loss]") {
  const server_process server(greeter_server(), "127.0.0.1:0", {"--max-connection-age", "200"});
  asio::io_context io;
  observer seen;
  seen.delay = [](int) { return 1h; };
  auto options = seen.watch({.address = address_of(server)});
  options.stable_after = 300ms;
  conn_grpc::pool pool(io, {.channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    for (int connection = 1; connection <= 3; ++connection) {
      co_await seen.until([&] { return seen.connects >= connection; });
      const auto channel = co_await pool.get_channel(10s);
      CHECK((co_await slow_greeting(channel, connection == 2 ? 400ms : 0ms)).ok());
    }
    CHECK(seen.waits == 0);
  }());
}

TEST_CASE("keepalive closes the connection of a frozen server after the user's own limit", "[loss]") {
  server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = address_of(server)});
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1'000);
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 500);
  conn_grpc::pool pool(io, {.channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    const auto channel = co_await pool.get_channel(20s);
    const auto freeze = [&]() -> asio::awaitable<void> {
      CHECK((co_await slow_greeting(channel, 0ms)).ok());  // so the server has the other RPC
      server.freeze();
    };
    const auto status = co_await (slow_greeting(channel, 1h) && freeze());
    CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK_THAT(status.error_message(), has_text("keepalive watchdog timeout") || has_text("ping timeout"));
    CHECK_FALSE(pool.try_get_channel().has_value());
    co_await seen.until([&] { return seen.disconnects == 1; });
    CHECK_THAT(pool.status().channels.front().last_error, has_text(status.error_message()));
  }());
}

TEST_CASE("the next connection sends fewer pings when the server found the pings too frequent", "[loss]") {
  const server_process server(greeter_server(), "127.0.0.1:0", {"--max-ping-strikes", "1"});
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = address_of(server)});
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 700);  // gRPC sends no more than one ping a second
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  options.arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  options.telemetry = std::make_shared<conn_grpc::telemetry>();
  std::string reasons;
  options.telemetry->attach("loss", conn_grpc::event::channel_disconnected,
                            [&](const conn_grpc::telemetry_event& e) { reasons.append(e.error).append("; "); });
  conn_grpc::pool pool(io, {.channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  const auto bare =
      grpc::CreateCustomChannel(address_of(server), grpc::InsecureChannelCredentials(), options.arguments);
  run(io, [&]() -> asio::awaitable<void> {
    const auto of_pool = [&]() { return pool.get_channel(20s); };
    const auto of_bare = [&]() -> asio::awaitable<channel_ptr> { co_return bare; };
    // The server refuses the third ping, after 3.7 s. Each time gRPC doubles the
    // interval: the second connection ends after 4.2 s, and the third one would after 8.4 s.
    constexpr auto between = 6'300ms;
    const auto [ours, theirs] =
        co_await (failures_before_success(of_pool, between) && failures_before_success(of_bare, between));
    CHECK(theirs > 0);  // else the server accepts the pings
    CHECK(ours <= theirs);
    CHECK_THAT(reasons, has_text("Too many pings"));
  }());
}
