// SPDX-License-Identifier: BSL-1.0
// Gets that wait for a real server, and how their waiting ends.
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/named.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/static_channel.hpp>
#include <conn_grpc/static_pool.hpp>
#include <future>
#include <limits>
#include <memory>
#include <ratio>
#include <string>
#include <tuple>
#include <vector>

#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/greeting.hpp"
#include "support/late_server.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

/// The exception that the await throws.
template <class T>
asio::awaitable<boost::system::system_error> error_of(asio::awaitable<T> awaited) {
  try {
    (void)co_await std::move(awaited);
  } catch (const boost::system::system_error& e) {
    co_return e;
  }
  throw std::runtime_error("nothing was thrown");
}

template <class T>
asio::awaitable<void> throws(error_code why, asio::awaitable<T> awaited) {
  const auto thrown = co_await error_of(std::move(awaited));
  CHECK(thrown.code() == why);
}

/// Not in a CHECK, which evaluates its expression twice.
asio::awaitable<void> serves(asio::awaitable<channel_ptr> get) {
  const auto peer = co_await peer_of(co_await std::move(get));
  CHECK_FALSE(peer.empty());
}

// The options of the types in the current test.
conn_grpc::channel_options type_options;

struct waiting_pool : conn_grpc::static_pool<waiting_pool> {
  static conn_grpc::pool_options options() { return {.name = "waiting", .pool_size = 2, .channel = type_options}; }
};

struct waiting_channel : conn_grpc::static_channel<waiting_channel> {
  static conn_grpc::channel_options options() { return type_options; }
};

}  // namespace

TEST_CASE("a get that begins before the server is served when the server has started", "[waiting]") {
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.name = "early", .pool_size = 2, .channel = server.options()});
  pool.async_run(asio::detached);
  run(io, [&]() -> asio::awaitable<void> {
    server.start_soon(io);
    co_await serves(pool.get_channel(1h));
    co_await pool.connected(2);
    server.kill();
    while (pool.status().current_size > 0) co_await asio::post(asio::deferred);
    server.start_soon(io);
    co_await serves(pool.get_channel(1h));
  }());
}

TEST_CASE("waiters are served in the order of arrival, callbacks and coroutines alike", "[waiting]") {
  late_server server;
  asio::io_context io;
  conn_grpc::channel channel(io, server.options());
  channel.async_run(asio::detached);
  std::vector<int> served;
  for (int i = 0; i < 20; ++i) {
    if (i % 2 == 0) {
      channel.async_get(1h, [&, i](error_code, const channel_ptr&) { served.push_back(i); });
      continue;
    }
    asio::co_spawn(
        io,
        [&, i]() -> asio::awaitable<void> {
          (void)co_await channel.get(1h);
          served.push_back(i);
        },
        asio::detached);
    io.poll();
  }
  server.start();
  run_until(io, [&] { return served.size() == 20; });
  CHECK(std::is_sorted(served.begin(), served.end()));
}

TEST_CASE("a get that timed out says why no channel was connected", "[waiting]") {
  const late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.name = "down", .pool_size = 2, .channel = server.options()});
  conn_grpc::channel channel(io, server.options());
  pool.async_run(asio::detached);
  channel.async_run(asio::detached);
  run(io, [&]() -> asio::awaitable<void> {
    while (pool.status().channels[0].last_error.empty() || channel.status().last_error.empty())
      co_await asio::post(asio::deferred);
    const auto of_pool = co_await error_of(pool.get_channel(1ms));
    CHECK(of_pool.code() == errc::not_connected);
    CHECK_THAT(of_pool.what(), has_text("conn_grpc pool down: down/0: ") && has_text("Connection refused"));
    const auto of_channel = co_await error_of(channel.get(1ms));
    CHECK(of_channel.code() == errc::not_connected);
    CHECK_THAT(of_channel.what(), has_text("Connection refused"));
    const auto of_size = co_await error_of(pool.connected(2, 1ms));
    CHECK(of_size.code() == errc::not_connected);
    CHECK_THAT(of_size.what(), has_text("Connection refused"));
  }());
}

TEST_CASE("cancellation of any type ends the waiting of a coroutine", "[waiting]") {
  const auto type =
      GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total);
  const bool of_size = GENERATE(false, true);
  const late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = server.options()});
  pool.async_run(asio::detached);
  asio::cancellation_signal cancel;
  error_code failed;
  const auto get = [&]() -> asio::awaitable<void> {
    // By default a coroutine receives terminal cancellation only.
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    if (of_size)
      failed = (co_await error_of(pool.connected())).code();
    else
      failed = (co_await error_of(pool.get_channel(1h))).code();
  };
  asio::co_spawn(io, get, asio::bind_cancellation_slot(cancel.slot(), asio::detached));
  io.poll();
  cancel.emit(type);
  run_until(io, [&] { return failed.failed(); });
  CHECK(failed == asio::error::operation_aborted);
}

TEST_CASE("a get beyond max_waiters fails at once, and the waiters are served", "[waiting]") {
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = server.options(), .max_waiters = 2});
  pool.async_run(asio::detached);
  std::vector<channel_ptr> served;
  const auto serve = [&](error_code, channel_ptr c) { served.push_back(std::move(c)); };
  pool.async_get_channel(1h, serve);
  pool.async_get_channel(1h, serve);
  run(io, [&]() -> asio::awaitable<void> {
    co_await throws(errc::too_many_waiters, pool.get_channel(1h));
    co_await throws(errc::not_connected, pool.get_channel());
    co_await throws(errc::not_connected, pool.connected(1, 1ms));
    CHECK(served.empty());
    server.start_soon(io);
    co_await pool.connected();
    co_await serves(pool.get_channel(1h));
  }());
  run_until(io, [&] { return served.size() == 2; });
  CHECK(is_ready(served[0]));
  CHECK(is_ready(served[1]));
}

TEST_CASE("gets by name and by type may wait, too", "[waiting]") {
  late_server server;
  asio::io_context io;
  type_options = server.options();
  run(io, [&]() -> asio::awaitable<void> {
    co_await throws(errc::not_started, conn_grpc::get_channel("waiting", 1h));
    co_await throws(errc::not_started, waiting_pool::get_channel(1h));
    co_await throws(errc::not_started, waiting_pool::connected(1));
    waiting_pool::async_run(io, asio::detached);
    waiting_channel::async_run(io, asio::detached);
    co_await throws(errc::not_connected, conn_grpc::get_channel("waiting", 1ms));
    co_await throws(errc::not_connected, waiting_pool::get_channel(1ms));
    co_await throws(errc::not_connected, waiting_pool::connected(2, 1ms));
    co_await throws(asio::error::invalid_argument, waiting_pool::connected(3));
    int served = 0;
    const auto serve = [&](asio::awaitable<channel_ptr> get) {
      asio::co_spawn(
          io,
          [](asio::awaitable<channel_ptr> g, int& s) -> asio::awaitable<void> {
            s += is_ready(co_await std::move(g)) ? 1 : 0;
          }(std::move(get), served),
          asio::detached);
    };
    serve(conn_grpc::get_channel("waiting", 1h));
    serve(waiting_pool::get_channel(1h));
    serve(waiting_channel::get(1h));
    server.start_soon(io);
    co_await waiting_pool::connected(2);
    while (served < 3) co_await asio::post(asio::deferred);
    CHECK(waiting_pool::status(io).current_size == 2);
  }());
}

TEST_CASE("connected(n) of a pool of three", "[waiting]") {
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.pool_size = 3, .channel = server.options()});
  run(io, [&]() -> asio::awaitable<void> {
    co_await throws(errc::not_started, pool.connected());
    pool.async_run(asio::detached);
    co_await throws(asio::error::invalid_argument, pool.connected(4));
    co_await throws(errc::not_connected, pool.connected(3, 1ms));
    co_await throws(errc::not_connected, pool.connected(3, 0s));
    co_await pool.connected(0);
    server.start_soon(io);
    co_await pool.connected(3);
    CHECK(pool.status().current_size == 3);
    co_await pool.connected(3, 0s);
    co_await pool.connected(2, 1h);
    pool.stop();
    co_await throws(errc::stopped, pool.connected(3));
  }());
}

TEST_CASE("a timeout may be any duration", "[waiting]") {
  using std::chrono::duration;
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = server.options()});
  pool.async_run(asio::detached);
  const auto without_waiting = [&](auto timeout) {
    return [](conn_grpc::pool& p, auto t) -> asio::awaitable<void> {
      co_await throws(errc::not_connected, p.get_channel(t));
      const auto given = co_await p.async_get_channel(t, asio::as_tuple(asio::use_awaitable));
      CHECK(std::get<0>(given) == errc::not_connected);
    }(pool, timeout);
  };
  run(io, [&]() -> asio::awaitable<void> {
    co_await without_waiting(0s);
    co_await without_waiting(-1s);
    co_await without_waiting((std::chrono::milliseconds::min)());
    co_await without_waiting(duration<double>(-1e300));
    co_await without_waiting(duration<double>(std::numeric_limits<double>::quiet_NaN()));
    co_await without_waiting(1ns);
    co_await without_waiting(500us);
    co_await without_waiting(duration<double>(1e-300));
    co_await without_waiting(duration<float, std::milli>(0.5F));
  }());
  std::vector<std::future<channel_ptr>> served;
  const auto wait = [&](auto timeout) {
    served.push_back(pool.async_get_channel(timeout, asio::use_future));
    served.push_back(asio::co_spawn(io, pool.get_channel(timeout), asio::use_future));
  };
  wait(1h);
  wait(10min);
  wait((std::chrono::milliseconds::max)());
  wait((std::chrono::hours::max)());
  wait((std::chrono::nanoseconds::max)());
  wait(duration<double>(3600));
  wait(duration<double>(1e300));
  wait(duration<double>(std::numeric_limits<double>::infinity()));
  wait(duration<unsigned char>(255));
  wait(duration<float>(9'223'371'776.F));  // rounded up, this is more than the nanoseconds can hold
  wait(duration<long, std::ratio<86'400 * 365>>(1'000'000'000));
  io.restart();
  io.poll();  // the coroutines wait now
  server.start();
  const background runs(io);
  for (auto& s : served) {
    REQUIRE(s.wait_for(30s) == std::future_status::ready);
    CHECK(is_ready(s.get()));
  }
}

TEST_CASE("waiters cost no CPU time", "[waiting]") {
  const late_server server;
  asio::io_context io;
  auto options = server.options();
  options.backoff = {.min = 1h, .max = 1h};
  conn_grpc::pool pool(io, {.channel = options});
  pool.async_run(asio::detached);
  int ended = 0;
  for (int i = 0; i < 1'000; ++i) pool.async_get_channel(1h, [&](error_code, const channel_ptr&) { ++ended; });
  run(io, [&]() -> asio::awaitable<void> {
    while (pool.status().channels[0].state != conn_grpc::channel_state::backing_off)
      co_await asio::post(asio::deferred);
  }());
  io.restart();
  io.poll();
  CHECK(io.poll() == 0);  // a timer that fires for nothing would be found here
  CHECK(ended == 0);
  pool.stop();
  run_until(io, [&] { return ended == 1'000; });
}
