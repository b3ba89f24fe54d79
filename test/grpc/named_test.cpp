// SPDX-License-Identifier: BSL-1.0
// Pools and channels that are found by name and by type, in the awaiting coroutine's own
// context.
#include <boost/asio/error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/named.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/static_channel.hpp>
#include <conn_grpc/static_pool.hpp>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/namesake.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace conn_grpc::test {
namespace {

// What the types' options() return in the current test.
conn_grpc::channel_options greeter_options;

struct demo_pool : conn_grpc::static_pool<demo_pool> {
  static conn_grpc::pool_options options() { return {.pool_size = 2, .channel = greeter_options}; }
};

struct demo_channel : conn_grpc::static_channel<demo_channel> {
  static conn_grpc::channel_options options() {
    auto options = greeter_options;
    options.name = "the demo channel";
    return options;
  }
};

struct bad_pool : conn_grpc::static_pool<bad_pool> {
  static conn_grpc::pool_options options() { return {}; }
};

template <class Get>
asio::awaitable<error_code> error_of(Get get) {
  error_code error;
  try {
    (void)co_await get();
  } catch (const boost::system::system_error& e) {
    error = e.code();
  }
  co_return error;
}

const auto get_demo_pool = [] { return demo_pool::get_channel(); };
const auto get_by_name = [] { return conn_grpc::get_channel("demo_pool"); };

}  // namespace
}  // namespace conn_grpc::test

TEST_CASE("a static pool is found by its type and by its name", "[named]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  greeter_options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  std::optional<error_code> ended;
  std::optional<error_code> second;
  run(io, [&]() -> asio::awaitable<void> {
    CHECK((co_await error_of(get_demo_pool)) == errc::not_started);
    CHECK((co_await error_of(get_by_name)) == errc::not_started);
    CHECK(demo_pool::status(io).channels.empty());

    demo_pool::async_run(io, [&](error_code ec) { ended = ec; });
    CHECK((co_await error_of(get_demo_pool)) == errc::not_connected);
    co_await seen.until([&] { return seen.connects == 2; });
    const auto first = co_await demo_pool::get_channel();
    const auto next = co_await conn_grpc::get_channel("demo_pool");
    CHECK(first != next);
    CHECK(*demo_pool::try_get_channel(io) == first);
    CHECK(*conn_grpc::try_get_channel(io, "demo_pool") == next);
    CHECK_FALSE((co_await peer_of(first)).empty());
    CHECK(demo_pool::status(io).name == "demo_pool");
    CHECK(demo_pool::status(io).current_size == 2);

    demo_pool::async_run(io, [&](error_code ec) {
      second = ec;
      seen.changed.notify();
    });
    co_await seen.until([&] { return second.has_value(); });
    CHECK(second == asio::error::already_started);

    demo_pool::stop(io);
    CHECK((co_await error_of(get_demo_pool)) == errc::not_started);
    CHECK((co_await error_of(get_by_name)) == errc::not_started);
    demo_pool::async_run(io, [](error_code) {});
    co_await seen.until([&] { return seen.connects == 4; });
    CHECK_FALSE((co_await peer_of(co_await demo_pool::get_channel())).empty());
    CHECK(ended == error_code());
    demo_pool::stop(io);
  }());
  io.run();
}

TEST_CASE("a static channel has the name that is in its options", "[named]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  greeter_options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  run(io, [&]() -> asio::awaitable<void> {
    CHECK(demo_channel::status(io).state == conn_grpc::channel_state::not_started);
    demo_channel::async_run(io.get_executor(), [](error_code) {});
    co_await seen.until([&] { return seen.connects == 1; });
    const auto channel = co_await demo_channel::get();
    CHECK(*demo_channel::try_get(io) == channel);
    CHECK((co_await conn_grpc::get_channel("the demo channel")) == channel);
    CHECK(demo_channel::status(io).state == conn_grpc::channel_state::connected);
    demo_channel::stop(io);
    CHECK((co_await error_of([] { return demo_channel::get(); })) == errc::not_started);
  }());
  io.run();
}

TEST_CASE("each execution context has a static pool of its own", "[named]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  greeter_options = {.address = "127.0.0.1:" + std::to_string(server.port())};
  asio::io_context io;
  asio::thread_pool threads(2);
  demo_pool::async_run(threads, [](error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    CHECK((co_await error_of(get_demo_pool)) == errc::not_started);
    CHECK((co_await error_of(get_by_name)) == errc::not_started);
  }());
  // A strand of the context is in the context.
  const auto found = asio::co_spawn(asio::make_strand(threads), error_of(get_demo_pool), asio::use_future).get();
  CHECK((found == error_code() || found == errc::not_connected));
  CHECK(demo_pool::try_get_channel(io).error() == errc::not_started);
  demo_pool::stop(threads);
  threads.join();
}

TEST_CASE("a name may be taken by any pool or channel", "[named]") {
  asio::io_context io;
  greeter_options = {.address = "unix:/nowhere"};
  conn_grpc::channel living(io, {.name = "demo_pool", .address = "unix:/nowhere"});
  living.async_run([](error_code) {});
  std::optional<error_code> refused;
  demo_pool::async_run(io, [&](error_code ec) { refused = ec; });
  conn_grpc::pool pool(io, {.name = "demo_pool", .channel = greeter_options});
  std::optional<error_code> pool_refused;
  pool.async_run([&](error_code ec) { pool_refused = ec; });
  io.poll();
  CHECK(refused == errc::name_taken);
  CHECK(pool_refused == errc::name_taken);
  CHECK(pool.try_get_channel().error() == errc::not_started);
  living.stop();
  pool.async_run([](error_code) {});
  CHECK(conn_grpc::try_get_channel(io, "demo_pool").error() == errc::not_connected);
}

TEST_CASE("the error of a look-up has the name that was not found", "[named]") {
  asio::io_context io;
  run(io, []() -> asio::awaitable<void> {
    std::string text;
    try {
      (void)co_await conn_grpc::get_channel("a name that is longer than a short string");
    } catch (const boost::system::system_error& e) {
      text = e.what();
    }
    CHECK_THAT(text, has_text("a name that is longer than a short string"));
  }());
  CHECK_THROWS_AS(bad_pool::async_run(io, [](error_code) {}), boost::system::system_error);
}

TEST_CASE("types of the same name in two files are two types", "[named]") {
  asio::io_context io;
  greeter_options = {.address = "unix:/nowhere"};
  demo_pool::async_run(io, [](error_code) {});
  run_namesake(io, [](const conn_grpc::pool_status& before, const conn_grpc::pool_status& after) {
    CHECK(before.channels.empty());
    CHECK(after.name == "namesake");
  });
  CHECK(demo_pool::status(io).name == "demo_pool");
}

TEST_CASE("a static pool's context may be destroyed at any time", "[named]") {
  greeter_options = {.address = "unix:/nowhere"};
  for (int i = 0; i < 3; ++i) {
    asio::io_context io;
    demo_pool::async_run(io, [](error_code) {});
    if (i > 0) io.poll();
    if (i == 2) demo_pool::stop(io);
  }
}
