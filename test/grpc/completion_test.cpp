// SPDX-License-Identifier: BSL-1.0
// Where and when the handler of a get is called.
#include <grpcpp/client_context.h>

#include <atomic>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <boost/version.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif
#if __has_include(<boost/asio/executor.hpp>)
#include <boost/asio/executor.hpp>
#endif

#include "greeter.grpc.pb.h"
#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/late_server.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::error_code;

namespace {

/// Counts the calls on other threads than the one that made it. An allocator without
/// locks must not have any.
template <class T>
class thread_bound_allocator {
 public:
  using value_type = T;

  explicit thread_bound_allocator(std::atomic<int>& elsewhere) : elsewhere_(&elsewhere) {}
  template <class U>
  thread_bound_allocator(const thread_bound_allocator<U>& other)  // NOLINT(google-explicit-constructor)
      : own_thread_(other.own_thread_), elsewhere_(other.elsewhere_) {}

  T* allocate(std::size_t n) {
    note();
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* memory, std::size_t n) {
    note();
    std::allocator<T>().deallocate(memory, n);
  }

  bool operator==(const thread_bound_allocator&) const = default;

 private:
  template <class U>
  friend class thread_bound_allocator;

  void note() { *elsewhere_ += std::this_thread::get_id() == own_thread_ ? 0 : 1; }

  std::thread::id own_thread_ = std::this_thread::get_id();
  std::atomic<int>* elsewhere_;
};

/// A pool that has a channel at once, or later.
struct completion_fixture {
  completion_fixture() {
    pool.async_run(asio::detached);
    if (waits) return;
    server.start();
    run(io, pool.connected());
  }

  template <class Token>
  auto get(Token&& token) {
    return pool.async_get_channel(1h, std::forward<Token>(token));
  }

  /// Gets with the executor, and checks `there()` in the handler.
  template <class Executor, class There>
  void completes(const Executor& executor, There there) {
    std::promise<bool> promise;
    auto result = promise.get_future();
    get(asio::bind_executor(executor, [&](error_code failed, const channel_ptr& channel) {
      promise.set_value(!failed && is_ready(channel) && there());
    }));
    if (waits) server.start();
    REQUIRE(result.wait_for(30s) == std::future_status::ready);
    CHECK(result.get());
  }

  const bool waits = GENERATE(false, true);
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool{io, {.channel = server.options()}};
};

}  // namespace

TEST_CASE("a handler without an executor is called by the executor that the pool was made with", "[completion]") {
  asio::io_context io;
  const auto strand = asio::make_strand(io);
  late_server server;
  conn_grpc::pool pool(strand, {.channel = server.options()});
  pool.async_run(asio::detached);
  int called = 0;
  const auto handler = [&](error_code failed, const channel_ptr& channel) {
    called += !failed && is_ready(channel) && strand.running_in_this_thread() ? 1 : 0;
  };
  pool.async_get_channel(1h, handler);
  server.start();
  run_until(io, [&] { return called == 1; });
  pool.async_get_channel(1h, handler);
  pool.async_get_channel(handler);
  CHECK(called == 1);
  run_until(io, [&] { return called == 3; });
}

TEST_CASE("a handler is called by its own executor, of any context", "[completion]") {
  completion_fixture f;
  const background runs(f.io);
  SECTION("another io_context") {
    asio::io_context other;
    const background runs_too(other);
    f.completes(other.get_executor(), [&] { return other.get_executor().running_in_this_thread(); });
  }
  SECTION("a strand of the pool's io_context") {
    const auto strand = asio::make_strand(f.io);
    f.completes(strand, [&] { return strand.running_in_this_thread(); });
  }
  SECTION("a thread_pool") {
    asio::thread_pool threads(2);
    f.completes(threads.get_executor(), [&] { return threads.get_executor().running_in_this_thread(); });
  }
  SECTION("a strand of a thread_pool, type-erased") {
    asio::thread_pool threads(2);
    const auto strand = asio::make_strand(threads);
    f.completes(asio::any_io_executor(strand), [&] { return strand.running_in_this_thread(); });
  }
  SECTION("a strand of a type-erased executor, as a coroutine has it") {
    const auto strand = asio::make_strand(asio::any_io_executor(f.io.get_executor()));
    f.completes(strand, [&] { return strand.running_in_this_thread(); });
  }
  SECTION("system_executor") {
    const auto here = std::this_thread::get_id();
    f.completes(asio::system_executor(),
                [&] { return std::this_thread::get_id() != here && !f.io.get_executor().running_in_this_thread(); });
  }
#if __has_include(<boost/asio/executor.hpp>)
  SECTION("an executor of the Networking TS") {
    asio::io_context other;
    const background runs_too(other);
    f.completes(asio::executor(other.get_executor()), [&] { return other.get_executor().running_in_this_thread(); });
  }
#endif
}

TEST_CASE("handlers are called on their strand while many threads run the io_context", "[completion]") {
  completion_fixture f;
  const background runs(f.io, 4);
  const auto strand = asio::make_strand(f.io);
  constexpr int gets = 1'000;
  int called = 0;  // on the strand
  std::promise<void> all;
  for (int i = 0; i < gets; ++i)
    f.get(asio::bind_executor(strand, [&](error_code failed, const channel_ptr& channel) {
      if (failed || !is_ready(channel) || !strand.running_in_this_thread()) return;
      if (++called == gets) all.set_value();
    }));
  if (f.waits) f.server.start();
  CHECK(all.get_future().wait_for(30s) == std::future_status::ready);
}

TEST_CASE("a handler is not called inside of the initiating function", "[completion]") {
  completion_fixture f;
  const background runs(f.io);
  // Gets on a thread of the context that will call the handler. A handler that were
  // dispatched there, and not posted, would be called at once.
  const auto get_from = [&](const auto& executor) {
    std::promise<bool> promise;
    auto inside = std::make_shared<bool>(false);
    asio::post(executor, [&, inside] {
      *inside = true;
      f.get(asio::bind_executor(executor, [&, inside](error_code, const channel_ptr&) { promise.set_value(*inside); }));
      *inside = false;
      if (f.waits) f.server.start();
    });
    auto called_inside = promise.get_future();
    REQUIRE(called_inside.wait_for(30s) == std::future_status::ready);
    CHECK_FALSE(called_inside.get());
  };
  SECTION("io_context") { get_from(f.io.get_executor()); }
  SECTION("strand") { get_from(asio::make_strand(f.io)); }
  SECTION("thread_pool") {
    asio::thread_pool threads(1);
    get_from(threads.get_executor());
  }
}

TEST_CASE("the status is connected when connected() has completed", "[completion]") {
  late_server server;
  server.start();
  asio::io_context elsewhere;
  asio::thread_pool threads(1);
  for (int i = 0; i < 100; ++i) {
    conn_grpc::pool pool(threads, {.channel = server.options()});
    pool.async_run(asio::detached);
    run(elsewhere, [&]() -> asio::awaitable<void> {
      co_await pool.connected();
      const auto size = pool.status().current_size;
      CHECK(size == 1);
    }());
  }
}

TEST_CASE("a get that waits is work of the handler's context", "[completion]") {
  completion_fixture f;
  const background runs(f.io);
  asio::io_context other;
  bool called = false;
  f.get(asio::bind_executor(other, [&](error_code, const channel_ptr&) { called = true; }));
  std::thread starts([&] {
    if (f.waits) f.server.start();
  });
  other.run_for(30s);  // the context has no other work
  CHECK(called);
  CHECK(other.stopped());
  starts.join();
}

#if BOOST_VERSION >= 108200
TEST_CASE("the associated immediate executor is used when a channel is connected", "[completion]") {
  completion_fixture f;
  int called = 0;
  f.get(asio::bind_immediate_executor(asio::system_executor(), [&](error_code failed, const channel_ptr& channel) {
    called += !failed && is_ready(channel) ? 1 : 0;
  }));
  CHECK(called == (f.waits ? 0 : 1));
  if (f.waits) f.server.start();
  run_until(f.io, [&] { return called == 1; });
}
#endif

TEST_CASE("an exception of a mock is thrown to a coroutine, and passed to a handler as an error_code", "[completion]") {
  asio::io_context io;
  std::exception_ptr thrown;
  conn_grpc::pool pool(
      io, {.channel = {.address = "unused", .mock = [&]() -> channel_ptr { std::rethrow_exception(thrown); }}});
  const auto error_of_get = [&](error_code why) {
    thrown = std::make_exception_ptr(boost::system::system_error(why));
    error_code awaited;
    error_code called;
    run(io, [&]() -> asio::awaitable<void> {
      CHECK_THROWS_AS(pool.try_get_channel(), boost::system::system_error);
      const auto get = [](asio::awaitable<channel_ptr> awaitable) -> asio::awaitable<bool> {
        try {
          (void)co_await std::move(awaitable);
        } catch (const boost::system::system_error&) {
          co_return true;
        }
        co_return false;
      };
      CHECK(co_await get(pool.get_channel()));
      CHECK(co_await get(pool.get_channel(1h)));
      co_await pool.async_get_channel(asio::redirect_error(asio::use_awaitable, awaited));
      pool.async_get_channel(1h, [&](error_code failed, const channel_ptr&) { called = failed; });
      co_await asio::post(asio::use_awaitable);
    }());
    CHECK(awaited == called);
    return called;
  };
  CHECK(error_of_get(asio::error::host_unreachable) == asio::error::host_unreachable);
  CHECK(error_of_get(error_code()) == conn_grpc::errc::not_connected);
  thrown = std::make_exception_ptr(std::logic_error("not for an error_code"));
  CHECK_THROWS_AS(pool.try_get_channel(), std::logic_error);
  CHECK_THROWS_AS(pool.async_get_channel([](error_code, const channel_ptr&) {}), std::logic_error);
}

TEST_CASE("a handler's allocator is called on its executor's thread, not on gRPC's", "[completion]") {
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = server.options()});
  pool.async_run(asio::detached);
  std::atomic<int> elsewhere{0};
  const thread_bound_allocator<char> allocator(elsewhere);
  channel_ptr channel;
  pool.async_get_channel(
      1h, asio::bind_allocator(allocator, [&](error_code, channel_ptr connected) { channel = std::move(connected); }));
  server.start();
  run_until(io, [&] { return channel != nullptr; });
  CHECK(elsewhere == 0);

  const auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  HelloReply reply;
  bool called = false;
  conn_grpc::async_unary(
      *stub, &Greeter::Stub::async::SayHello, context, HelloRequest(), reply,
      asio::bind_allocator(allocator, asio::bind_executor(io, [&](const grpc::Status&) { called = true; })));
  run_until(io, [&] { return called; });
  CHECK(elsewhere == 0);
}
