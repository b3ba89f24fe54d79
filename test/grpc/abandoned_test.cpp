// SPDX-License-Identifier: BSL-1.0
// The pool or an execution context is destroyed while gets wait. Each get is answered
// once, or its handler is destroyed uncalled because its own context has been destroyed.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "support/catch.hpp"
#include "support/late_server.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

/// Waits for a channel and for a size, as callbacks and as a coroutine, on one context.
struct waiters {
  waiters(asio::io_context& handler_context, conn_grpc::pool& pool) {
    pool.async_get_channel(1h, asio::bind_executor(handler_context, get.follow()));
    pool.async_get_channel(1h, asio::bind_executor(asio::make_strand(handler_context), on_strand.follow()));
    pool.async_connected(1, asio::bind_executor(handler_context, size.follow()));
    asio::co_spawn(handler_context, wait(pool, coroutine.follow()), asio::detached);
    handler_context.restart();
    handler_context.poll();  // now the coroutine waits
    all([](const handler_outcome& f) { return f.called == 0 && f.destroyed == 0; });
  }

  template <class Handler>
  static asio::awaitable<void> wait(conn_grpc::pool& pool, Handler handler) {
    error_code failed;
    try {
      (void)co_await pool.get_channel(1h);
    } catch (const boost::system::system_error& e) {
      failed = e.code();
    }
    handler(failed);
  }

  void answered_by(asio::io_context& handler_context) {
    handler_context.restart();
    handler_context.poll();
    all([](const handler_outcome& f) { return f.called == 1 && f.destroyed == 1 && f.failed == errc::stopped; });
  }
  void were_destroyed() {
    all([](const handler_outcome& f) { return f.called == 0 && f.destroyed == 1; });
  }

  handler_outcome get;
  handler_outcome on_strand;
  handler_outcome size;
  handler_outcome coroutine;

 private:
  template <class Predicate>
  void all(Predicate is_so) {
    CHECK(is_so(get));
    CHECK(is_so(on_strand));
    CHECK(is_so(size));
    CHECK(is_so(coroutine));
  }
};

/// A pool on `io` without a server, and another context.
struct pool_without_server {
  explicit pool_without_server(std::size_t size = 2) {
    pool.emplace(*io, conn_grpc::pool_options{.pool_size = size, .channel = server.options()});
    pool->async_run(ran.follow());
    if (GENERATE(false, true)) io->poll();  // before the first attempt, or during it and after it
  }

  late_server server;
  handler_outcome ran;
  std::optional<asio::io_context> io{std::in_place};
  std::optional<asio::io_context> other{std::in_place};
  std::optional<conn_grpc::pool> pool;
};

}  // namespace

TEST_CASE("the pool, its context and the waiters' context may be destroyed in every order", "[abandoned]") {
  pool_without_server f;
  waiters here(*f.io, *f.pool);
  waiters there(*f.other, *f.pool);
  bool here_wait = true;
  bool there_wait = true;
  // P the pool, I its io_context, O the other one.
  const std::string order = GENERATE("PIO", "POI", "IPO", "IOP", "OPI", "OIP");
  for (const char next : order) {
    INFO(order << ", now " << next);
    if (next == 'P') f.pool.reset();
    if (next == 'I') f.io.reset();
    if (next == 'O') f.other.reset();
    if (std::exchange(there_wait, false)) {
      if (f.other)
        there.answered_by(*f.other);
      else
        there.were_destroyed();
    }
    if (next != 'O' && std::exchange(here_wait, false)) {
      if (f.io)
        here.answered_by(*f.io);
      else
        here.were_destroyed();
    }
  }
  CHECK(f.ran.destroyed == 1);
}

TEST_CASE("answered waiters are destroyed uncalled when their context is destroyed before it has run", "[abandoned]") {
  pool_without_server f;
  waiters here(*f.io, *f.pool);
  waiters there(*f.other, *f.pool);
  f.pool.reset();
  const bool here_first = GENERATE(false, true);
  if (here_first) f.io.reset();
  f.other.reset();
  f.io.reset();
  here.were_destroyed();
  there.were_destroyed();
}

TEST_CASE("a waiter's handler may destroy the pool and another context", "[abandoned]") {
  pool_without_server f;
  const std::string what = GENERATE("pool", "other context", "both");
  handler_outcome waits_here;
  handler_outcome waits_there;
  bool called = false;
  f.pool->async_get_channel(1ms, [&](error_code failed, const channel_ptr&) {
    CHECK(failed == errc::not_connected);
    if (what != "pool") f.other.reset();
    if (what != "other context") f.pool.reset();
    called = true;
  });
  f.pool->async_get_channel(1h, waits_here.follow());
  f.pool->async_get_channel(1h, asio::bind_executor(*f.other, waits_there.follow()));
  run_until(*f.io, [&] { return called; });
  if (f.other) {
    f.other->poll();
    CHECK(waits_there.failed == errc::stopped);
  }
  CHECK(waits_there.called == (f.other ? 1 : 0));
  CHECK(waits_there.destroyed == 1);
  if (f.pool) f.pool->stop();
  run_until(*f.io, [&] { return waits_here.called == 1; });
  CHECK(waits_here.failed == errc::stopped);
  CHECK(waits_here.destroyed == 1);
}

TEST_CASE("the handler of a served waiter may destroy the pool", "[abandoned]") {
  pool_without_server f(1);
  handler_outcome served;
  bool called = false;
  f.pool->async_get_channel(1h, [&](error_code failed, const channel_ptr& channel) {
    CHECK_FALSE(failed);
    f.pool.reset();
    CHECK(is_ready(channel));
    called = true;
  });
  f.pool->async_get_channel(1h, served.follow());
  f.server.start();
  run_until(*f.io, [&] { return called && served.called == 1; });
  CHECK(is_ready(served.channel));
  run_until(*f.io, [&] { return f.ran.called == 1; });
  CHECK_FALSE(f.ran.failed);
}

TEST_CASE("a handler may own the pool that it waits for", "[abandoned]") {
  const late_server server;
  std::optional<asio::io_context> io(std::in_place);
  std::optional<asio::io_context> other(std::in_place);
  auto pool = std::make_shared<conn_grpc::pool>(*io, conn_grpc::pool_options{.channel = server.options()});
  pool->async_run(asio::detached);
  const std::weak_ptr watched = pool;
  handler_outcome waits;
  handler_outcome last;
  asio::cancellation_signal cancel;
  auto& owned = *pool;
  owned.async_get_channel(
      1h, asio::bind_cancellation_slot(cancel.slot(),
                                       asio::bind_executor(*other, [pool = std::move(pool), follow = waits.follow()](
                                                                       error_code failed, channel_ptr channel) mutable {
                                         follow(failed, std::move(channel));
                                       })));
  owned.async_get_channel(1h, last.follow());
  REQUIRE_FALSE(watched.expired());
  const std::string what =
      GENERATE("its context is destroyed", "the pool's context is destroyed", "it is cancelled", "the pool is stopped");
  INFO(what);
  if (what == "its context is destroyed") other.reset();
  if (what == "the pool's context is destroyed") io.reset();
  if (what == "it is cancelled") cancel.emit(asio::cancellation_type::terminal);
  if (what == "the pool is stopped") watched.lock()->stop();
  if (other) other->poll();
  CHECK(watched.expired());
  CHECK(waits.called == (other ? 1 : 0));
  CHECK(waits.destroyed == 1);
  if (io) io->poll();
  CHECK(last.called == (io ? 1 : 0));
  CHECK(last.destroyed == 1);
}

TEST_CASE("a handler may get again when the pool has stopped", "[abandoned]") {
  pool_without_server f;
  handler_outcome again;
  error_code first;
  f.pool->async_get_channel(1h, [&](error_code failed, const channel_ptr&) {
    first = failed;
    f.pool->async_get_channel(1h, again.follow());
  });
  f.pool->stop();
  run_until(*f.io, [&] { return again.called == 1; });
  CHECK(first == errc::stopped);
  CHECK(again.failed == errc::stopped);
}

TEST_CASE("the pool may be destroyed while a coroutine of another thread waits, or begins to wait", "[abandoned]") {
  const late_server server;
  asio::thread_pool threads(2);  // one thread may complete what the other thread is still beginning
  for (int i = 0; i < 200; ++i) {
    const bool context_too = i % 2 == 0;
    std::optional<asio::io_context> io(std::in_place);
    std::optional<conn_grpc::pool> pool;
    pool.emplace(*io, conn_grpc::pool_options{.channel = server.options()});
    pool->async_run(asio::detached);
    std::promise<void> got;
    auto ended = asio::co_spawn(
        threads,
        [&]() -> asio::awaitable<error_code> {
          auto get = pool->async_get_channel(1h, asio::use_awaitable);
          got.set_value();
          try {
            (void)co_await std::move(get);
          } catch (const boost::system::system_error& e) {
            co_return e.code();
          }
          co_return error_code();
        },
        asio::use_future);
    got.get_future().wait();
    if (context_too) io.reset();
    pool.reset();
    REQUIRE(ended.wait_for(30s) == std::future_status::ready);
    REQUIRE(ended.get() == errc::stopped);
  }
}

TEST_CASE("a waiter's context may be destroyed while another thread serves", "[abandoned]") {
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = server.options()});
  pool.async_run(asio::detached);
  auto work = asio::make_work_guard(io);
  std::thread runs([&] { io.run(); });
  for (int i = 0; i < 200; ++i) {
    handler_outcome waits;
    handler_outcome times_out;
    auto handler_context = std::make_unique<asio::io_context>();
    pool.async_get_channel(1h, asio::bind_executor(*handler_context, waits.follow()));
    pool.async_get_channel(std::chrono::microseconds(i), asio::bind_executor(*handler_context, times_out.follow()));
    if (i == 100) server.start();
    handler_context.reset();
    CHECK(waits.called + times_out.called == 0);
    CHECK(waits.destroyed == 1);
    CHECK(times_out.destroyed == 1);
  }
  CHECK(is_ready(pool.async_get_channel(1h, asio::use_future).get()));
  io.stop();
  runs.join();
}

TEST_CASE("a get may begin while its handler's context is being destroyed", "[abandoned]") {
  pool_without_server f;
  handler_outcome begun_late;
  auto handler_context = std::make_unique<asio::io_context>();
  const bool first_of_all = GENERATE(false, true);  // whether this get is the first to use the context
  if (!first_of_all)
    f.pool->async_get_channel(1h, asio::bind_executor(*handler_context, [](error_code, const channel_ptr&) {}));

  const auto begin = [&f, &begun_late, executor = handler_context->get_executor()](int*) {
    f.pool->async_get_channel(1ms, asio::bind_executor(executor, begun_late.follow()));
  };
  int guarded = 0;
  auto guard = std::unique_ptr<int, decltype(begin)>(&guarded, begin);
  asio::post(*handler_context, [guard = std::move(guard)] {});  // destroyed uncalled
  handler_context.reset();
  CHECK(begun_late.called == 0);
  CHECK(begun_late.destroyed == 1);
  f.pool->stop();
  f.io->restart();
  f.io->poll();
  CHECK(begun_late.called == 0);
}
