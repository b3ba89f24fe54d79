// SPDX-License-Identifier: BSL-1.0
// async_get_channel() and async_get() take any completion token, when a channel is
// connected and when they must wait.
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

/// A pool and a channel to get from, each at once or later.
struct token_fixture {
  token_fixture() {
    pool.emplace(io, conn_grpc::pool_options{.channel = server.options()});
    channel.emplace(io, server.options());
    pool->async_run(asio::detached);
    channel->async_run(asio::detached);
    if (waits) return;
    server.start();
    run(io, [](token_fixture& f) -> asio::awaitable<void> {
      (void)co_await f.pool->get_channel(1h);
      (void)co_await f.channel->get(1h);
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

  /// Call it after the get was initiated.
  void serve() {
    if (waits) server.start();
  }
  /// Call it before a coroutine on `io` initiates the get.
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

/// Counts allocations.
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
  token_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    f.serve_soon();
    const auto channel = co_await f.get(asio::use_awaitable);
    CHECK(is_ready(channel));
  }());
}

TEST_CASE("deferred is the default token", "[tokens]") {
  token_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    f.serve_soon();
    std::vector<channel_ptr> channels;  // not in a CHECK, which evaluates its expression twice
    channels.push_back(co_await f.pool->async_get_channel(1h));
    channels.push_back(co_await f.channel->async_get(1h));
    channels.push_back(co_await f.pool->async_get_channel());
    channels.push_back(co_await f.channel->async_get());
    for (const auto& c : channels) CHECK(is_ready(c));
    co_await f.pool->async_connected(1);
    co_await f.pool->async_connected(1, 1h);
    auto packed =
        f.get(asio::deferred([](error_code, const channel_ptr& c) { return asio::deferred.values(is_ready(c)); }));
    const bool ready = co_await std::move(packed)(asio::use_awaitable);
    CHECK(ready);
  }());
}

TEST_CASE("a deferred get may outlive its pool", "[tokens]") {
  token_fixture f;
  auto operation = f.get(asio::deferred);
  f.pool.reset();
  f.channel.reset();
  handler_outcome got;
  std::move(operation)(got.follow());
  CHECK(got.called == 0);
  run_until(f.io, [&] { return got.called > 0; });
  CHECK(got.failed == errc::stopped);
}

TEST_CASE("use_future", "[tokens]") {
  token_fixture f;
  auto got = f.get(asio::use_future);
  f.serve();
  const background runs(f.io);
  REQUIRE(got.wait_for(30s) == std::future_status::ready);
  CHECK(is_ready(got.get()));
  f.pool->stop();
  f.channel->stop();
  CHECK_THROWS_AS(f.get(asio::use_future).get(), boost::system::system_error);
}

TEST_CASE("a callback that can only be moved", "[tokens]") {
  token_fixture f;
  handler_outcome got;
  f.get(got.follow());
  CHECK(got.called == 0);
  CHECK(got.destroyed == 0);
  f.serve();
  run_until(f.io, [&] { return got.called > 0; });
  CHECK(is_ready(got.channel));
  CHECK(got.destroyed == 1);
}

TEST_CASE("a callback that is an lvalue, and takes its arguments by reference", "[tokens]") {
  token_fixture f;
  bool ready = false;
  const auto callback = [&](const error_code& failed, const channel_ptr& channel) {
    ready = !failed && is_ready(channel);
  };
  f.get(callback);
  f.serve();
  run_until(f.io, [&] { return ready; });
}

TEST_CASE("any_completion_handler", "[tokens]") {
  token_fixture f;
  handler_outcome got;
  f.get(asio::any_completion_handler<void(error_code, channel_ptr)>(got.follow()));
  CHECK(got.called == 0);
  f.serve();
  run_until(f.io, [&] { return got.called > 0; });
  CHECK(is_ready(got.channel));
  CHECK(got.destroyed == 1);
}

TEST_CASE("yield_context", "[tokens]") {
  token_fixture f;
  bool ready = false;
  error_code stopped;
  asio::spawn(
      f.io,
      [&](asio::yield_context yield) {
        f.serve_soon();
        ready = is_ready(f.get(yield));
        f.pool->stop();
        f.channel->stop();
        CHECK(f.get(yield[stopped]) == nullptr);
      },
      asio::detached);
  run_until(f.io, [&] { return stopped.failed(); });
  CHECK(ready);
  CHECK(stopped == errc::stopped);
}

TEST_CASE("as_tuple and redirect_error", "[tokens]") {
  token_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    f.serve_soon();
    const auto [failed, channel] = co_await f.get(asio::as_tuple(asio::use_awaitable));
    CHECK_FALSE(failed);
    CHECK(is_ready(channel));
    const auto [deferred_failed, deferred_channel] = co_await f.get(asio::as_tuple(asio::deferred));
    CHECK(is_ready(deferred_channel));
    error_code redirected = errc::stopped;
    const auto again = co_await f.get(asio::redirect_error(asio::use_awaitable, redirected));
    CHECK_FALSE(redirected);
    CHECK(is_ready(again));
    f.pool->stop();
    f.channel->stop();
    const auto [stopped, nothing] = co_await f.get(asio::as_tuple(asio::deferred));
    CHECK(stopped == errc::stopped);
    CHECK_FALSE(nothing);
    const auto neither = co_await f.get(asio::redirect_error(asio::use_awaitable, redirected));
    CHECK_FALSE(neither);
    CHECK(redirected == errc::stopped);
  }());
}

TEST_CASE("bind_allocator: the handler's allocator is used, also for waiting", "[tokens]") {
  token_fixture f;
  handler_outcome got;
  allocations counted;
  // Asio's any_io_executor, the default, cannot use an allocator.
  f.get(asio::bind_executor(f.io, asio::bind_allocator(counting_allocator<char>(counted), got.follow())));
  CHECK(counted.made > 0);
  CHECK(counted.made > counted.freed);
  const auto before = counted.made;
  f.serve();
  run_until(f.io, [&] { return got.called > 0; });
  CHECK(is_ready(got.channel));
  CHECK(counted.made == before);  // the thread that serves it allocates nothing
  CHECK(counted.made == counted.freed);
}

TEST_CASE("bind_cancellation_slot: cancellation of any type ends a get that waits", "[tokens]") {
  const auto type =
      GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total);
  token_fixture f;
  handler_outcome got;
  handler_outcome other;
  asio::cancellation_signal cancel;
  f.get(asio::bind_cancellation_slot(cancel.slot(), got.follow()));
  f.get(other.follow());
  cancel.emit(type);
  CHECK(got.called == 0);
  run_until(f.io, [&] { return got.called > 0; });
  CHECK(got.failed == (f.waits ? error_code(asio::error::operation_aborted) : error_code()));
  f.serve();
  run_until(f.io, [&] { return other.called > 0; });
  CHECK(is_ready(other.channel));
  cancel.emit(type);  // the get has ended
  f.io.poll();
  CHECK(got.called == 1);
  CHECK(other.called == 1);
}

TEST_CASE("consign: the consigned object exists until the handler is called", "[tokens]") {
  token_fixture f;
  handler_outcome got;
  auto consigned = std::make_shared<int>(42);
  const std::weak_ptr watched = consigned;
  bool held = false;
  f.get(asio::consign(
      [&, follow = got.follow()](error_code failed, channel_ptr channel) mutable {
        held = !watched.expired();
        follow(failed, std::move(channel));
      },
      std::move(consigned)));
  CHECK_FALSE(watched.expired());
  f.serve();
  run_until(f.io, [&] { return got.called > 0; });
  CHECK(held);
  CHECK(watched.expired());
}

TEST_CASE("operators of awaitables: a get or a timer, a get and a get", "[tokens]") {
  token_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    asio::steady_timer now(f.io, 0s);
    auto first = co_await (now.async_wait(asio::use_awaitable) || f.get(asio::use_awaitable));
    if (f.waits) CHECK(first.index() == 0);
    f.serve_soon();
    asio::steady_timer later(f.io, 1h);
    const auto second = co_await (f.get(asio::use_awaitable) || later.async_wait(asio::use_awaitable));
    REQUIRE(second.index() == 0);
    CHECK(is_ready(std::get<0>(second)));
    const auto [one, other] = co_await (f.get(asio::use_awaitable) && f.get(asio::use_awaitable));
    CHECK(is_ready(one));
    CHECK(is_ready(other));
    const auto waiting = co_await (f.pool->get_channel(1h) && f.channel->get(1h));
    CHECK(is_ready(std::get<0>(waiting)));
  }());
}

TEST_CASE("parallel_group: the first of two, and all of many", "[tokens]") {
  namespace experimental = asio::experimental;
  token_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    asio::steady_timer timer(f.io, f.waits ? 0s : std::chrono::seconds(1h));
    const auto [order, failed, channel, timer_failed] =
        co_await experimental::make_parallel_group(f.get(asio::deferred), timer.async_wait(asio::deferred))
            .async_wait(experimental::wait_for_one(), asio::use_awaitable);
    CHECK(order[0] == (f.waits ? 1U : 0U));
    CHECK((f.waits ? failed : timer_failed) == asio::error::operation_aborted);
    CHECK(is_ready(channel) == !f.waits);

    f.serve_soon();
    // Without the executor, Asio 1.26 completes them on the system executor. Its thread
    // may hold `io` for longer than `io` exists.
    const auto get_on_io = [&] { return f.get(asio::bind_executor(f.io, asio::deferred)); };
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
