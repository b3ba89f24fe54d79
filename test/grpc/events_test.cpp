// SPDX-License-Identifier: BSL-1.0
// The telemetry events while a server comes and goes. runtime/events_test.cpp checks
// names, order and times, in virtual time.
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/telemetry.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"

using namespace conn_grpc::test;
using conn_grpc::event;
using conn_grpc::telemetry_event;

TEST_CASE("events are emitted while a server is down, starts and stops", "[events]") {
  const reserved_port port;
  asio::io_context io;
  observer seen;
  const auto mine = std::make_shared<conn_grpc::telemetry>();
  std::map<event, int> received;
  std::string reason;
  bool measured = true;
  mine->attach_many("count", conn_grpc::all_events, [&](const telemetry_event& e) {
    ++received[e.name];
    if (e.name == event::channel_connection_failed) reason = e.error;
    if (e.name != event::pool_status) measured = measured && e.duration > 0ns;
    measured = measured && e.pool_name == "greeter";
    asio::post(io, [&] { seen.changed.notify(); });
  });
  int global = 0;
  conn_grpc::telemetry::global()->attach_many("not mine", conn_grpc::all_events, [&](const auto&) { ++global; });

  auto options = seen.watch({.address = port.address()});
  options.telemetry = mine;
  conn_grpc::pool pool(io, {.name = "greeter", .pool_size = 2, .channel = options, .status_interval = 1ms});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return received[event::channel_connection_failed] >= 2; });
    CHECK_THAT(reason, has_text("Connection refused"));
    CHECK(received[event::channel_connected] == 0);
    {
      const server_process server(greeter_server(), port.address());
      co_await seen.until([&] { return received[event::channel_connected] == 2; });
      CHECK(pool.try_get_channel().has_value());
      CHECK(received[event::channel_get] == 1);
      CHECK(received[event::pool_get_channel] == 1);
    }
    co_await seen.until([&] { return received[event::channel_disconnected] == 2; });
    CHECK(pool.try_get_channel().has_error());
    CHECK(received[event::pool_get_channel] == 2);
    const int statuses = received[event::pool_status];
    co_await seen.until([&] { return received[event::pool_status] > statuses + 3; });
    pool.stop();
  }());
  CHECK(measured);
  CHECK(global == 0);
  CHECK(conn_grpc::telemetry::global()->detach("not mine"));
}

TEST_CASE("a channel without a telemetry of its own emits to the global one", "[events]") {
  asio::io_context io;
  conn_grpc::channel channel(io, {.name = "single", .address = "unix:/nowhere"});
  std::string received;
  conn_grpc::telemetry::global()->attach("global", event::channel_get, [&](const telemetry_event& e) {
    received = std::string(e.channel_name) + ": " + std::string(e.error);
  });
  CHECK(channel.try_get().has_error());
  CHECK(conn_grpc::telemetry::global()->detach("global"));
  CHECK(received == "single: async_run has not been called, or has failed");
}

TEST_CASE("a handler may destroy the pool or the channel whose get it is called for", "[events]") {
  asio::io_context io;
  const auto mine = std::make_shared<conn_grpc::telemetry>();
  std::optional<conn_grpc::pool> pool;
  std::optional<conn_grpc::channel> channel;
  mine->attach("owner", event::channel_get, [&](const auto&) {
    pool.reset();
    channel.reset();
  });
  const auto check_get = [&](auto get) {
    pool.emplace(io, conn_grpc::pool_options{.channel = {.address = "unix:/nowhere", .telemetry = mine}});
    channel.emplace(io, conn_grpc::channel_options{.address = "unix:/nowhere", .telemetry = mine});
    try {
      run(io, get());
      FAIL("got a channel that never was connected");
    } catch (const boost::system::system_error& e) {
      CHECK(e.code() == conn_grpc::errc::not_started);
      CHECK_THAT(e.what(), has_text("unix:/nowhere"));
    }
    CHECK_FALSE(pool);
    CHECK_FALSE(channel);
  };
  check_get([&]() -> asio::awaitable<void> { (void)co_await pool->get_channel(); });
  check_get([&]() -> asio::awaitable<void> { (void)co_await pool->get_channel(1h); });
  check_get([&]() -> asio::awaitable<void> { (void)co_await channel->get(); });
  check_get([&]() -> asio::awaitable<void> { (void)co_await channel->get(1h); });
}
