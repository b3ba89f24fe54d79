// SPDX-License-Identifier: BSL-1.0
// Whatever goes while gets wait, the pool or an execution context: every one of them is answered once, or its handler
// is destroyed uncalled because its own context has gone.
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

/// As callbacks and as coroutines, for a channel and for a size, on one context.
struct waiters {
  waiters(asio::io_context& handler_context, conn_grpc::pool& pool) {
    pool.async_get_channel(1h, asio::bind_executor(handler_context, get.follow()));
    pool.async_get_channel(1h, asio::bind_executor(asio::make_strand(handler_context), on_strand.follow()));
    pool.async_connected(1, asio::bind_executor(handler_context, size.follow()));
    asio::co_spawn(handler_context, wait(pool, coroutine.follow()), asio::detached);
    handler_context.restart();
    handler_context.poll();  // the coroutine waits now
    all([](const fate& f) { return f.called == 0 && f.destroyed == 0; });
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
    all([](const fate& f) { return f.called == 1 && f.destroyed == 1 && f.failed == errc::stopped; });
  }
  void gone() {
    all([](const fate& f) { return f.called == 0 && f.destroyed == 1; });
  }

  fate get;
  fate on_strand;
  fate size;
  fate coroutine;

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
struct world {
  explicit world(std::size_t size = 2) {
    pool.emplace(*io, conn_grpc::pool_options{.pool_size = size, .channel = server.options()});
    pool->async_run(ran.follow());
    if (GENERATE(false, true)) io->poll();  // it has not begun to connect; it has failed to, or is about to
  }

  late_server server;
  fate ran;
  std::optional<asio::io_context> io{std::in_place};
  std::optional<asio::io_context> other{std::in_place};
  std::optional<conn_grpc::pool> pool;
};

}  // namespace

TEST_CASE("the pool, its context and the waiters' context go, in every order", "[abandoned]") {
  world w;
  waiters here(*w.io, *w.pool);
  waiters there(*w.other, *w.pool);
  bool here_wait = true;
  bool there_wait = true;
  // P the pool, I its io_context, O the other one.
  const std::string order = GENERATE("PIO", "POI", "IPO", "IOP", "OPI", "OIP");
  for (const char next : order) {
    INFO(order << ", now " << next);
    if (next == 'P') w.pool.reset();
    if (next == 'I') w.io.reset();
    if (next == 'O') w.other.reset();
    if (std::exchange(there_wait, false)) {
      if (w.other)
        there.answered_by(*w.other);
      else
        there.gone();
    }
    if (next != 'O' && std::exchange(here_wait, false)) {
      if (w.io)
        here.answered_by(*w.io);
      else
        here.gone();
    }
  }
  CHECK(w.ran.destroyed == 1);
}

TEST_CASE("answered, but not told yet, when the waiters' context goes", "[abandoned]") {
  world w;
  waiters here(*w.io, *w.pool);
  waiters there(*w.other, *w.pool);
  w.pool.reset();
  const bool here_first = GENERATE(false, true);
  if (here_first) w.io.reset();
  w.other.reset();
  w.io.reset();
  here.gone();
  there.gone();
}

TEST_CASE("from inside the handler of one that waited, all else goes", "[abandoned]") {
  world w;
  const std::string what = GENERATE("pool", "other context", "both");
  fate waits_here;
  fate waits_there;
  bool called = false;
  w.pool->async_get_channel(1ms, [&](error_code failed, const channel_ptr&) {
    CHECK(failed == errc::not_connected);
    if (what != "pool") w.other.reset();
    if (what != "other context") w.pool.reset();
    called = true;
  });
  w.pool->async_get_channel(1h, waits_here.follow());
  w.pool->async_get_channel(1h, asio::bind_executor(*w.other, waits_there.follow()));
  run_until(*w.io, [&] { return called; });
  if (w.other) {
    w.other->poll();
    CHECK(waits_there.failed == errc::stopped);
  }
  CHECK(waits_there.called == (w.other ? 1 : 0));
  CHECK(waits_there.destroyed == 1);
  if (w.pool) w.pool->stop();
  run_until(*w.io, [&] { return waits_here.called == 1; });
  CHECK(waits_here.failed == errc::stopped);
  CHECK(waits_here.destroyed == 1);
}

TEST_CASE("from inside the handler of one that was served, the pool goes", "[abandoned]") {
  world w(1);
  fate served;
  bool called = false;
  w.pool->async_get_channel(1h, [&](error_code failed, const channel_ptr& channel) {
    CHECK_FALSE(failed);
    w.pool.reset();
    CHECK(is_ready(channel));
    called = true;
  });
  w.pool->async_get_channel(1h, served.follow());
  w.server.start();
  run_until(*w.io, [&] { return called && served.called == 1; });
  CHECK(is_ready(served.channel));
  run_until(*w.io, [&] { return w.ran.called == 1; });
  CHECK_FALSE(w.ran.failed);
}

TEST_CASE("a handler that owns the pool it waits for", "[abandoned]") {
  const late_server server;
  std::optional<asio::io_context> io(std::in_place);
  std::optional<asio::io_context> other(std::in_place);
  auto pool = std::make_shared<conn_grpc::pool>(*io, conn_grpc::pool_options{.channel = server.options()});
  pool->async_run(asio::detached);
  const std::weak_ptr watched = pool;
  fate waits;
  fate last;
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
  const std::string what = GENERATE("its context goes", "the pool's goes", "it is cancelled", "the pool is stopped");
  INFO(what);
  if (what == "its context goes") other.reset();
  if (what == "the pool's goes") io.reset();
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

TEST_CASE("a handler that starts over when it is told that the pool has stopped", "[abandoned]") {
  world w;
  fate again;
  error_code first;
  w.pool->async_get_channel(1h, [&](error_code failed, const channel_ptr&) {
    first = failed;
    w.pool->async_get_channel(1h, again.follow());
  });
  w.pool->stop();
  run_until(*w.io, [&] { return again.called == 1; });
  CHECK(first == errc::stopped);
  CHECK(again.failed == errc::stopped);
}

TEST_CASE("the pool is destroyed while a coroutine of another thread waits, or is about to", "[abandoned]") {
  const late_server server;
  asio::thread_pool threads(2);  // so that one may complete what the other is still beginning
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

TEST_CASE("a waiter's context goes while another thread serves", "[abandoned]") {
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = server.options()});
  pool.async_run(asio::detached);
  auto work = asio::make_work_guard(io);
  std::thread runs([&] { io.run(); });
  for (int i = 0; i < 200; ++i) {
    fate waits;
    fate times_out;
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

TEST_CASE("a get that is begun while its handler's context is being destroyed", "[abandoned]") {
  world w;
  fate begun_late;
  auto handler_context = std::make_unique<asio::io_context>();
  const bool first_of_all = GENERATE(false, true);  // has the context heard of us before?
  if (!first_of_all)
    w.pool->async_get_channel(1h, asio::bind_executor(*handler_context, [](error_code, const channel_ptr&) {}));

  const auto begin = [&w, &begun_late, executor = handler_context->get_executor()](int*) {
    w.pool->async_get_channel(1ms, asio::bind_executor(executor, begun_late.follow()));
  };
  int guarded = 0;
  auto guard = std::unique_ptr<int, decltype(begin)>(&guarded, begin);
  asio::post(*handler_context, [guard = std::move(guard)] {});  // destroyed uncalled
  handler_context.reset();
  CHECK(begun_late.called == 0);
  CHECK(begun_late.destroyed == 1);
  w.pool->stop();
  w.io->restart();
  w.io->poll();
  CHECK(begun_late.called == 0);
}
