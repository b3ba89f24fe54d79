// SPDX-License-Identifier: BSL-1.0
// async_get_channel() and async_get() take any completion token, whether the channel is there or must be waited for.
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/late_server.hpp"

using namespace conn_grpc::test;
using namespace boost::asio::experimental::awaitable_operators;
using conn_grpc::channel_ptr;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

/// A pool and a channel, to get from either, and either at once or later.
struct world {
  world() {
    pool.emplace(io, conn_grpc::pool_options{.channel = server.options()});
    channel.emplace(io, server.options());
    pool->async_run(asio::detached);
    channel->async_run(asio::detached);
    if (waits) return;
    server.start();
    run(io, [](world& w) -> asio::awaitable<void> {
      (void)co_await w.pool->get_channel(1h);
      (void)co_await w.channel->get(1h);
    }(*this));
  }

  template <class Token>
  auto get(Token&& token) {
    if (!with_timeout)
      return of_pool ? pool->async_get_channel(std::forward<Token>(token))
                     : channel->async_get(std::forward<Token>(token));
    return of_pool ? pool->async_get_channel(1h, std::forward<Token>(token))
                   : channel->async_get(1h, std::forward<Token>(token));
  }

  /// After the get was initiated.
  void serve() {
    if (waits) server.start();
  }
  /// Before a coroutine on `io` initiates it.
  void serve_soon() {
    if (waits) server.start_soon(io);
  }

  const bool with_timeout = GENERATE(false, true);
  const bool waits = with_timeout && GENERATE(false, true);
  const bool of_pool = GENERATE(false, true);
  late_server server;
  asio::io_context io;
  std::optional<conn_grpc::pool> pool;
  std::optional<conn_grpc::channel> channel;
};

struct allocations {
  std::size_t made = 0;
  std::size_t freed = 0;
};

/// Counts.
template <class T>
class counting_allocator {
 public:
  using value_type = T;

  explicit counting_allocator(allocations& counted) : counted_(&counted) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : counted_(other.counted_) {}

  T* allocate(std::size_t n) {
    ++counted_->made;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    ++counted_->freed;
    std::allocator<T>().deallocate(p, n);
  }
  template <class U>
  bool operator==(const counting_allocator<U>& other) const {
    return counted_ == other.counted_;
  }

 private:
  template <class>
  friend class counting_allocator;

  allocations* counted_;
};

}  // namespace

TEST_CASE("use_awaitable", "[tokens]") {
  world w;
  run(w.io, [&]() -> asio::awaitable<void> {
    w.serve_soon();
    const auto channel = co_await w.get(asio::use_awaitable);
    CHECK(is_ready(channel));
  }());
}

TEST_CASE("deferred, the default token", "[tokens]") {
  world w;
  run(w.io, [&]() -> asio::awaitable<void> {
    w.serve_soon();
    std::vector<channel_ptr> channels;  // not within a CHECK: that evaluates what is awaited twice
    channels.push_back(co_await w.pool->async_get_channel(1h));
    channels.push_back(co_await w.channel->async_get(1h));
    channels.push_back(co_await w.pool->async_get_channel());
    channels.push_back(co_await w.channel->async_get());
    for (const auto& c : channels) CHECK(is_ready(c));
    co_await w.pool->async_connected(1);
    co_await w.pool->async_connected(1, 1h);
    auto packed =
        w.get(asio::deferred([](error_code, const channel_ptr& c) { return asio::deferred.values(is_ready(c)); }));
    const bool ready = co_await std::move(packed)(asio::use_awaitable);
    CHECK(ready);
  }());
}

TEST_CASE("a deferred get that outlives its pool", "[tokens]") {
  world w;
  auto operation = w.get(asio::deferred);
  w.pool.reset();
  w.channel.reset();
  fate got;
  std::move(operation)(got.follow());
  CHECK(got.called == 0);
  run_until(w.io, [&] { return got.called > 0; });
  CHECK(got.failed == errc::stopped);
}

TEST_CASE("use_future", "[tokens]") {
  world w;
  auto got = w.get(asio::use_future);
  w.serve();
  const background runs(w.io);
  REQUIRE(got.wait_for(30s) == std::future_status::ready);
  CHECK(is_ready(got.get()));
  w.pool->stop();
  w.channel->stop();
  CHECK_THROWS_AS(w.get(asio::use_future).get(), boost::system::system_error);
}

TEST_CASE("a callback that can only be moved", "[tokens]") {
  world w;
  fate got;
  w.get(got.follow());
  CHECK(got.called == 0);
  CHECK(got.destroyed == 0);
  w.serve();
  run_until(w.io, [&] { return got.called > 0; });
  CHECK(is_ready(got.channel));
  CHECK(got.destroyed == 1);
}

TEST_CASE("a callback that is an lvalue, and takes what it gets by reference", "[tokens]") {
  world w;
  bool ready = false;
  const auto callback = [&](const error_code& failed, const channel_ptr& channel) {
    ready = !failed && is_ready(channel);
  };
  w.get(callback);
  w.serve();
  run_until(w.io, [&] { return ready; });
}

TEST_CASE("any_completion_handler", "[tokens]") {
  world w;
  fate got;
  w.get(asio::any_completion_handler<void(error_code, channel_ptr)>(got.follow()));
  CHECK(got.called == 0);
  w.serve();
  run_until(w.io, [&] { return got.called > 0; });
  CHECK(is_ready(got.channel));
  CHECK(got.destroyed == 1);
}

TEST_CASE("yield_context", "[tokens]") {
  world w;
  bool ready = false;
  error_code stopped;
  asio::spawn(
      w.io,
      [&](asio::yield_context yield) {
        w.serve_soon();
        ready = is_ready(w.get(yield));
        w.pool->stop();
        w.channel->stop();
        CHECK(w.get(yield[stopped]) == nullptr);
      },
      asio::detached);
  run_until(w.io, [&] { return stopped.failed(); });
  CHECK(ready);
  CHECK(stopped == errc::stopped);
}

TEST_CASE("as_tuple and redirect_error", "[tokens]") {
  world w;
  run(w.io, [&]() -> asio::awaitable<void> {
    w.serve_soon();
    const auto [failed, channel] = co_await w.get(asio::as_tuple(asio::use_awaitable));
    CHECK_FALSE(failed);
    CHECK(is_ready(channel));
    const auto [deferred_failed, deferred_channel] = co_await w.get(asio::as_tuple(asio::deferred));
    CHECK(is_ready(deferred_channel));
    error_code redirected = errc::stopped;
    const auto again = co_await w.get(asio::redirect_error(asio::use_awaitable, redirected));
    CHECK_FALSE(redirected);
    CHECK(is_ready(again));
    w.pool->stop();
    w.channel->stop();
    const auto [stopped, nothing] = co_await w.get(asio::as_tuple(asio::deferred));
    CHECK(stopped == errc::stopped);
    CHECK_FALSE(nothing);
    const auto neither = co_await w.get(asio::redirect_error(asio::use_awaitable, redirected));
    CHECK_FALSE(neither);
    CHECK(redirected == errc::stopped);
  }());
}

TEST_CASE("bind_allocator: the handler's allocator is used, also for waiting", "[tokens]") {
  world w;
  fate got;
  allocations counted;
  // Asio's any_io_executor, the default, cannot be told an allocator.
  w.get(asio::bind_executor(w.io, asio::bind_allocator(counting_allocator<char>(counted), got.follow())));
  CHECK(counted.made > 0);
  CHECK(counted.made > counted.freed);
  const auto before = counted.made;
  w.serve();
  run_until(w.io, [&] { return got.called > 0; });
  CHECK(is_ready(got.channel));
  CHECK(counted.made == before);  // not by the thread that serves it
  CHECK(counted.made == counted.freed);
}

TEST_CASE("bind_cancellation_slot: of what waits, any type ends it", "[tokens]") {
  const auto type =
      GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total);
  world w;
  fate got;
  fate other;
  asio::cancellation_signal cancel;
  w.get(asio::bind_cancellation_slot(cancel.slot(), got.follow()));
  w.get(other.follow());
  cancel.emit(type);
  CHECK(got.called == 0);
  run_until(w.io, [&] { return got.called > 0; });
  CHECK(got.failed == (w.waits ? error_code(asio::error::operation_aborted) : error_code()));
  w.serve();
  run_until(w.io, [&] { return other.called > 0; });
  CHECK(is_ready(other.channel));
  cancel.emit(type);  // it has ended
  w.io.poll();
  CHECK(got.called == 1);
  CHECK(other.called == 1);
}

TEST_CASE("consign: what goes with the handler is there until it is called", "[tokens]") {
  world w;
  fate got;
  auto consigned = std::make_shared<int>(42);
  const std::weak_ptr watched = consigned;
  bool held = false;
  w.get(asio::consign(
      [&, follow = got.follow()](error_code failed, channel_ptr channel) mutable {
        held = !watched.expired();
        follow(failed, std::move(channel));
      },
      std::move(consigned)));
  CHECK_FALSE(watched.expired());
  w.serve();
  run_until(w.io, [&] { return got.called > 0; });
  CHECK(held);
  CHECK(watched.expired());
}

TEST_CASE("operators of awaitables: a get or a timer, a get and a get", "[tokens]") {
  world w;
  run(w.io, [&]() -> asio::awaitable<void> {
    asio::steady_timer now(w.io, 0s);
    auto first = co_await (now.async_wait(asio::use_awaitable) || w.get(asio::use_awaitable));
    if (w.waits) CHECK(first.index() == 0);
    w.serve_soon();
    asio::steady_timer later(w.io, 1h);
    const auto second = co_await (w.get(asio::use_awaitable) || later.async_wait(asio::use_awaitable));
    REQUIRE(second.index() == 0);
    CHECK(is_ready(std::get<0>(second)));
    const auto [one, other] = co_await (w.get(asio::use_awaitable) && w.get(asio::use_awaitable));
    CHECK(is_ready(one));
    CHECK(is_ready(other));
    const auto waiting = co_await (w.pool->get_channel(1h) && w.channel->get(1h));
    CHECK(is_ready(std::get<0>(waiting)));
  }());
}

TEST_CASE("parallel_group: the first of two, and all of many", "[tokens]") {
  namespace experimental = asio::experimental;
  world w;
  run(w.io, [&]() -> asio::awaitable<void> {
    asio::steady_timer timer(w.io, w.waits ? 0s : std::chrono::seconds(1h));
    const auto [order, failed, channel, timer_failed] =
        co_await experimental::make_parallel_group(w.get(asio::deferred), timer.async_wait(asio::deferred))
            .async_wait(experimental::wait_for_one(), asio::use_awaitable);
    CHECK(order[0] == (w.waits ? 1U : 0U));
    CHECK((w.waits ? failed : timer_failed) == asio::error::operation_aborted);
    CHECK(is_ready(channel) == !w.waits);

    w.serve_soon();
    // Else Asio 1.26 has them complete on the system executor, whose thread may hold on to `io` for longer than it
    // exists.
    const auto get_on_io = [&] { return w.get(asio::bind_executor(w.io, asio::deferred)); };
    std::vector<decltype(get_on_io())> gets;
    for (int i = 0; i < 10; ++i) gets.push_back(get_on_io());
    const auto [many, errors, channels] = co_await experimental::make_parallel_group(std::move(gets))
                                              .async_wait(experimental::wait_for_all(), asio::use_awaitable);
    for (std::size_t i = 0; i < 10; ++i) {
      CHECK_FALSE(errors[i]);
      CHECK(is_ready(channels[i]));
    }
  }());
}
