// SPDX-License-Identifier: BSL-1.0
// A pool against a real server in another process.
#include <grpcpp/client_context.h>
#include <unistd.h>

#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::errc;

TEST_CASE("a pool of five has five connections, whatever the arguments say", "[pool]") {
  const bool share = GENERATE(false, true);
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::channel_options options{.address = "127.0.0.1:" + std::to_string(server.port())};
  if (share) options.arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 0);
  conn_grpc::pool pool(io, {.name = "five", .pool_size = 5, .channel = seen.watch(options)});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 5; });
    CHECK(established_to(server.port()) == 5);
    std::set<std::string> peers;
    for (int i = 0; i < 5; ++i) peers.insert(co_await peer_of(co_await pool.get_channel()));
    CHECK(peers.size() == 5);
    CHECK(pool.status().current_size == 5);
  }());
}

TEST_CASE("a pool over a unix socket, and over IPv6", "[pool]") {
  const std::string over = GENERATE("a unix socket", "IPv6");
  // An address in Linux's abstract namespace leaves no file behind.
  const auto socket = "unix-abstract:conn_grpc-test-" + std::to_string(::getpid());
  const server_process server(greeter_server(), over == "IPv6" ? "[::1]:0" : socket);
  asio::io_context io;
  const auto address = over == "IPv6" ? "[::1]:" + std::to_string(server.port()) : socket;
  conn_grpc::pool pool(io, {.pool_size = 2, .channel = {.address = address}});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await pool.connected(2, 20s);
    const auto peer = co_await peer_of(co_await pool.get_channel());
    CHECK_THAT(peer, has_text(over == "IPv6" ? "ipv6:" : "unix"));
  }());
}

TEST_CASE("ten thousand gets use the connected channels equally while others are down", "[pool]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  seen.delay = [](int) { return 1h; };
  auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  int made = 0;
  const reserved_port closed;
  options.create_channel = [&](const auto& address, const auto& credentials, const auto& arguments) {
    // Every third channel connects to a port without a listener.
    return grpc::CreateCustomChannel(made++ % 3 == 2 ? closed.address() : address, credentials, arguments);
  };
  conn_grpc::pool pool(io, {.pool_size = 6, .channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 4 && seen.waits == 2; });
    std::map<channel_ptr, int> used;
    for (int i = 0; i < 10'000; ++i) ++used[co_await pool.get_channel()];
    CHECK(used.size() == 4);
    for (const auto& [channel, times] : used) CHECK(times == 2'500);
    CHECK(pool.status().expected_size == 6);
    CHECK(pool.status().current_size == 4);
  }());
}

TEST_CASE("a killed server is noticed and found again, fifty times", "[pool]") {
  const reserved_port port;
  auto server = std::make_unique<server_process>(greeter_server(), port.address());
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = port.address()});
  conn_grpc::pool pool(io, {.name = "cycles", .pool_size = 5, .channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    std::size_t threads_before = 0;
    std::size_t files_before = 0;
    std::size_t memory_before = 0;
    for (int cycle = 0; cycle < 50; ++cycle) {
      co_await seen.until([&] { return pool.status().current_size == 5; });
      CHECK_FALSE((co_await peer_of(co_await pool.get_channel())).empty());
      if (cycle == 10) {  // caches are warm
        threads_before = threads();
        files_before = open_files();
        memory_before = resident_kib();
      }
      const int failures = seen.waits;
      server->kill();
      co_await seen.until([&] { return pool.status().current_size == 0; });
      CHECK(pool.try_get_channel().error() == errc::not_connected);
      co_await seen.until([&] { return seen.waits >= failures + 10; });  // lost, and attempts have failed
      server = std::make_unique<server_process>(greeter_server(), port.address());
    }
    co_await seen.until([&] { return pool.status().current_size == 5; });
    CHECK(seen.connects == 5 * 51);
    CHECK(seen.disconnects == 5 * 50);
    CHECK(seen.resets == seen.connects);
    CHECK(established_to(port.number()) == 5);
    CHECK(threads_named("conn_grpc") == (is_in_scope() ? 0 : 1));
    CHECK(threads() < threads_before + 20);   // the number of gRPC's threads varies; a leak would be one per cycle: 40
    CHECK(open_files() <= files_before + 5);  // gRPC keeps a few descriptors in reserve
    if (memory_is_measurable) CHECK(resident_kib() < memory_before + 4'096);
  }());
}

TEST_CASE("an exception has the reason of the last failed attempt", "[pool]") {
  const reserved_port closed;
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.name = "down", .pool_size = 2, .channel = seen.watch({.address = closed.address()})});
  run(io, [&]() -> asio::awaitable<void> {
    const auto error_of_get = [&]() -> asio::awaitable<boost::system::system_error> {
      try {
        (void)co_await pool.get_channel();
      } catch (const boost::system::system_error& e) {
        co_return e;
      }
      throw std::runtime_error("got a channel");
    };
    CHECK((co_await error_of_get()).code() == errc::not_started);
    pool.async_run([](conn_grpc::error_code) {});
    co_await seen.until([&] { return seen.waits > 0; });
    const auto error = co_await error_of_get();
    CHECK(error.code() == errc::not_connected);
    CHECK_THAT(error.what(),
               Catch::Matchers::StartsWith("conn_grpc pool down: down/") && has_text(": failed to connect"));
    CHECK_THAT(error.what(), has_text("Connection refused"));
    pool.stop();
    const auto stopped = co_await error_of_get();
    CHECK(stopped.code() == errc::stopped);
    CHECK_THAT(stopped.what(), Catch::Matchers::StartsWith("conn_grpc pool down: stopped"));
  }());
}

TEST_CASE("a channel that the user keeps works on its own", "[pool]") {
  const reserved_port port;
  auto server = std::make_unique<server_process>(greeter_server(), port.address());
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = port.address()})});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    const auto kept = co_await pool.get_channel();
    server->kill();
    co_await seen.until([&] { return seen.disconnects == 1; });
    server = std::make_unique<server_process>(greeter_server(), port.address());
    co_await seen.until([&] { return seen.connects == 2; });
    const auto current = co_await pool.get_channel();
    CHECK(current != kept);
    CHECK(established_to(port.number()) == 1);

    const auto peer = co_await peer_of(kept);  // asks gRPC to connect
    CHECK(peer != co_await peer_of(current));
    CHECK(pool.status().current_size == 1);
    CHECK(*pool.try_get_channel() == current);

    pool.stop();
    CHECK(co_await peer_of(current) != peer);
    CHECK(co_await peer_of(kept) == peer);
  }());
}

TEST_CASE("all pools share one thread", "[pool]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  const auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  // An earlier test's scope may have left a session that still has the thread.
  if (is_in_scope()) wait_until([] { return threads_named("conn_grpc") == 0; });
  std::deque<conn_grpc::pool> pools;
  for (int i = 0; i < 4; ++i) {
    pools.emplace_back(io, conn_grpc::pool_options{.pool_size = 3, .channel = options});
    pools.back().async_run([](conn_grpc::error_code) {});
  }
  run(io, seen.until([&] { return seen.connects == 12; }));
  CHECK(threads_named("conn_grpc") == (is_in_scope() ? 0 : 1));
}

TEST_CASE("a graceful shutdown of the server is a loss", "[pool]") {
  const reserved_port port;
  auto server = std::make_unique<server_process>(greeter_server(), port.address());
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.pool_size = 2, .channel = seen.watch({.address = port.address()})});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 2; });
    server->shut_down();
    co_await seen.until([&] { return seen.disconnects == 2; });
    server = std::make_unique<server_process>(greeter_server(), port.address());
    co_await seen.until([&] { return seen.connects == 4; });
  }());
}

TEST_CASE("a pool accepts any gRPC target", "[pool]") {
  // An address and not a name, because a bare machine does not resolve localhost.
  const std::string scheme = GENERATE("unix:", "ipv4:", "dns:///", "");
  const std::string path = "/tmp/conn_grpc_test_" + std::to_string(::getpid()) + ".sock";
  const server_process server(greeter_server(), scheme == "unix:" ? scheme + path : "127.0.0.1:0");
  const std::string target = scheme == "unix:" ? path : "127.0.0.1:" + std::to_string(server.port());
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = scheme + target})});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    CHECK_FALSE((co_await peer_of(co_await pool.get_channel())).empty());
  }());
  ::unlink(path.c_str());
}
