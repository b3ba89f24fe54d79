// SPDX-License-Identifier: BSL-1.0
// What telemetry hears while a server comes and goes. Names, order and times in virtual time: runtime/events_test.cpp.
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

TEST_CASE("a server that comes, goes and comes again", "[events]") {
  const reserved_port port;
  asio::io_context io;
  observer seen;
  const auto mine = std::make_shared<conn_grpc::telemetry>();
  std::map<event, int> heard;
  std::string reason;
  bool measured = true;
  mine->attach_many("count", conn_grpc::all_events, [&](const telemetry_event& e) {
    ++heard[e.name];
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
    co_await seen.until([&] { return heard[event::channel_connection_failed] >= 2; });
    CHECK_THAT(reason, has_text("Connection refused"));
    CHECK(heard[event::channel_connected] == 0);
    {
      const server_process server(greeter_server(), port.address());
      co_await seen.until([&] { return heard[event::channel_connected] == 2; });
      CHECK(pool.try_get_channel().has_value());
      CHECK(heard[event::channel_get] == 1);
      CHECK(heard[event::pool_get_channel] == 1);
    }
    co_await seen.until([&] { return heard[event::channel_disconnected] == 2; });
    CHECK(pool.try_get_channel().has_error());
    CHECK(heard[event::pool_get_channel] == 2);
    const int statuses = heard[event::pool_status];
    co_await seen.until([&] { return heard[event::pool_status] > statuses + 3; });
    pool.stop();
  }());
  CHECK(measured);
  CHECK(global == 0);
  CHECK(conn_grpc::telemetry::global()->detach("not mine"));
}

TEST_CASE("without a telemetry of its own, a channel tells the global one", "[events]") {
  asio::io_context io;
  conn_grpc::channel channel(io, {.name = "single", .address = "unix:/nowhere"});
  std::string heard;
  conn_grpc::telemetry::global()->attach("global", event::channel_get, [&](const telemetry_event& e) {
    heard = std::string(e.channel_name) + ": " + std::string(e.error);
  });
  CHECK(channel.try_get().has_error());
  CHECK(conn_grpc::telemetry::global()->detach("global"));
  CHECK(heard == "single: async_run has not been called, or has failed");
}

TEST_CASE("a handler may destroy the pool or the channel that it is told a get of", "[events]") {
  asio::io_context io;
  const auto mine = std::make_shared<conn_grpc::telemetry>();
  std::optional<conn_grpc::pool> pool;
  std::optional<conn_grpc::channel> channel;
  mine->attach("owner", event::channel_get, [&](const auto&) {
    pool.reset();
    channel.reset();
  });
  const auto tell_of = [&](auto get) {
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
  tell_of([&]() -> asio::awaitable<void> { (void)co_await pool->get_channel(); });
  tell_of([&]() -> asio::awaitable<void> { (void)co_await pool->get_channel(1h); });
  tell_of([&]() -> asio::awaitable<void> { (void)co_await channel->get(); });
  tell_of([&]() -> asio::awaitable<void> { (void)co_await channel->get(1h); });
}
