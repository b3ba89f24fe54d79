// SPDX-License-Identifier: BSL-1.0
// Connections that are replaced, several servers, and draining, on real sockets.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;

namespace {

std::string address_of(const server_process& server) { return "127.0.0.1:" + std::to_string(server.port()); }

/// Callers that get a channel and make an RPC, again and again, until they are stopped.
class callers {
 public:
  callers(asio::io_context& io, conn_grpc::pool& pool, observer& seen, int count) : pool_(pool), seen_(seen) {
    for (int i = 0; i < count; ++i) asio::co_spawn(io, call(), asio::detached);
  }

  asio::awaitable<void> stop() {
    stopping_ = true;
    co_await seen_.until([&] { return running_ == 0; });
  }

  int failed_gets = 0;
  std::map<std::string, int> failed_calls;  // by their words
  std::set<std::string> peers;              // the callers' addresses, as the server sees them

 private:
  asio::awaitable<void> call() {
    ++running_;
    while (!stopping_) {
      HelloRequest request;
      request.set_delay_ms(1);
      try {
        const auto channel = co_await pool_.get_channel();
        const auto answer = co_await greet(channel, request);
        if (answer.status.ok())
          peers.insert(answer.reply.peer());
        else
          ++failed_calls[answer.status.error_message()];
      } catch (const boost::system::system_error&) {
        ++failed_gets;
      }
      seen_.changed.notify();
    }
    --running_;
    seen_.changed.notify();
  }

  conn_grpc::pool& pool_;
  observer& seen_;
  int running_ = 0;
  bool stopping_ = false;
};

}  // namespace

TEST_CASE("no get and no RPC fails while a server ends each connection at its maximum age", "[backends]") {
  const server_process server(greeter_server(), "127.0.0.1:0", {"--max-connection-age", "700"});
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = address_of(server)})});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    callers load(io, pool, seen, 4);
    co_await seen.until([&] { return seen.connects == 4; });
    co_await load.stop();
    CHECK(load.failed_gets == 0);
    CHECK(load.failed_calls == std::map<std::string, int>());
    CHECK(load.peers.size() >= 4);
    CHECK(seen.waits == 0);
  }());
}

TEST_CASE("no get and no RPC fails while connections are refreshed", "[backends]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.pool_size = 2, .channel = seen.watch({.address = address_of(server)})});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 2; });
    callers load(io, pool, seen, 8);
    for (int round = 1; round <= 10; ++round) {
      pool.refresh();
      co_await seen.until([&] { return seen.disconnects == 2 * round; });
      CHECK(pool.status().current_size == 2);
    }
    co_await load.stop();
    CHECK(load.failed_gets == 0);
    CHECK(load.failed_calls == std::map<std::string, int>());
    co_await observer::poll_until([&] { return established_to(server.port()) == 2; });
  }());
}

TEST_CASE("turns alternate between servers, and a server that is gone is left out", "[backends]") {
  server_process first(greeter_server(), "127.0.0.1:0");
  const server_process second(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({}), .addresses = {address_of(first), address_of(second)}});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 2; });
    std::map<conn_grpc::channel_ptr, int> turns;
    for (int i = 0; i < 10; ++i) ++turns[co_await pool.get_channel()];
    REQUIRE(turns.size() == 2);
    CHECK(turns.begin()->second == 5);
    first.kill();
    co_await seen.until([&] { return seen.disconnects == 1; });
    for (int i = 0; i < 10; ++i) {
      const auto answer = co_await greet(co_await pool.get_channel());
      CHECK(answer.status.ok());
    }
    const auto now = pool.status();
    CHECK(now.addresses.at(0).current_size == 0);
    CHECK_FALSE(now.addresses.at(0).last_error.empty());
    CHECK(now.addresses.at(1).current_size == 1);
  }());
}

TEST_CASE("no get and no RPC fails while the addresses change", "[backends]") {
  const server_process first(greeter_server(), "127.0.0.1:0");
  const server_process second(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.pool_size = 2, .channel = seen.watch({}), .addresses = {address_of(first)}});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 2; });
    callers load(io, pool, seen, 8);
    for (int round = 1; round <= 5; ++round) {
      pool.set_addresses({round % 2 == 0 ? address_of(first) : address_of(second)});
      co_await seen.until([&] { return seen.disconnects == 2 * round; });
    }
    co_await load.stop();
    CHECK(load.failed_gets == 0);
    CHECK(load.failed_calls == std::map<std::string, int>());
    co_await observer::poll_until(
        [&] { return established_to(first.port()) == 0 && established_to(second.port()) == 2; });
  }());
}

TEST_CASE("a suspect connection to a frozen server is withdrawn", "[backends]") {
  server_process frozen(greeter_server(), "127.0.0.1:0");
  const server_process good(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(
      io, {.channel = seen.watch({.connect_timeout = 200ms}), .addresses = {address_of(frozen), address_of(good)}});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 2; });
    frozen.freeze();
    pool.suspect(co_await pool.get_channel(), "no answer");
    pool.suspect(co_await pool.get_channel(), "no answer");  // the good server's is replaced
    co_await seen.until([&] { return seen.disconnects == 2; });
    frozen.thaw();
    const auto now = pool.status();
    CHECK(now.addresses.at(0).current_size == 0);
    CHECK(now.addresses.at(1).current_size == 1);
    co_await seen.until([&] { return seen.connects == 4; });
  }());
}

TEST_CASE("a drained pool lets its RPCs end", "[backends]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = address_of(server)})});
  std::optional<conn_grpc::error_code> ended;
  pool.async_run([&](conn_grpc::error_code ec) { ended = ec, seen.changed.notify(); });
  std::optional<grpc::Status> status;
  const auto call = [&]() -> asio::awaitable<void> {
    HelloRequest request;
    request.set_delay_ms(300);
    const auto answer = co_await greet(co_await pool.get_channel(), request);
    CHECK_FALSE(ended);
    status = answer.status;
    seen.changed.notify();
  };
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    asio::co_spawn(io, call(), asio::detached);
    CHECK((co_await greet(co_await pool.get_channel())).status.ok());
    co_await pool.drain(20s);
    CHECK(pool.try_get_channel().error() == errc::stopped);
    co_await seen.until([&] { return status && ended; });
    CHECK(status->ok());
    CHECK(*ended == conn_grpc::error_code());
  }());
}
