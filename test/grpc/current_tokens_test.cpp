// SPDX-License-Identifier: BSL-1.0
// What Asio's adapters need of an asynchronous operation: the executor of its initiation,
// a default token, and coroutines with other executors than asio::any_io_executor.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/version.hpp>
#include <chrono>
#include <concepts>
#include <conn_grpc/conn_grpc.hpp>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/cancel_at.hpp>
#endif

#include "support/catch.hpp"
#include "support/greeting.hpp"
#include "support/late_server.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace conn_grpc::test {
namespace {

/// A token that checks the initiation, and begins nothing.
struct inspect_t {
  bool* ran;
};

channel_options token_options;

struct token_pool : static_pool<token_pool> {
  static pool_options options() { return {.channel = token_options}; }
};
struct token_channel : static_channel<token_channel> {
  static channel_options options() { return token_options; }
};

/// A pool and a channel, of both kinds, to a server that has not started.
struct not_connected_fixture {
  not_connected_fixture() {
    token_options = server.options();
    pool.async_run(asio::detached);
    channel.async_run(asio::detached);
    token_pool::async_run(io, asio::detached);
    token_channel::async_run(io, asio::detached);
  }
  ~not_connected_fixture() {
    pool.stop();
    channel.stop();
    token_pool::stop(io);
    token_channel::stop(io);
    io.restart();
    io.run();
  }

  late_server server;
  asio::io_context io;
  conn_grpc::pool pool{io, {.name = "a pool", .channel = server.options()}};
  conn_grpc::channel channel{io, server.options()};
};

/// Calls `with` with each operation that ends in an error_code, as a function of the token.
template <class With>
void each_operation(not_connected_fixture& f, With with) {
  with("async_get_channel", [&](auto&& t) { return f.pool.async_get_channel(1h, std::forward<decltype(t)>(t)); });
  with("async_get", [&](auto&& t) { return f.channel.async_get(1h, std::forward<decltype(t)>(t)); });
  with("named async_get_channel",
       [&](auto&& t) { return conn_grpc::async_get_channel(f.io, "a pool", 1h, std::forward<decltype(t)>(t)); });
  with("static async_get_channel",
       [&](auto&& t) { return token_pool::async_get_channel(f.io, 1h, std::forward<decltype(t)>(t)); });
  with("static async_get", [&](auto&& t) { return token_channel::async_get(f.io, 1h, std::forward<decltype(t)>(t)); });
  with("async_connected", [&](auto&& t) { return f.pool.async_connected(1, std::forward<decltype(t)>(t)); });
  with("channel's async_connected", [&](auto&& t) { return f.channel.async_connected(std::forward<decltype(t)>(t)); });
  with("named async_connected", [&](auto&& t) {
    return conn_grpc::async_connected(f.io.get_executor(), "a pool", 1, std::forward<decltype(t)>(t));
  });
  with("static async_connected",
       [&](auto&& t) { return token_pool::async_connected(f.io, 1, std::forward<decltype(t)>(t)); });
  with("static channel's async_connected",
       [&](auto&& t) { return token_channel::async_connected(f.io, std::forward<decltype(t)>(t)); });
}

channel_ptr nowhere() { return grpc::CreateChannel("unix:/nowhere", grpc::InsecureChannelCredentials()); }

/// Runs the context until the handler, of either signature, has been called.
template <class Operation>
error_code outcome(asio::io_context& io, Operation operation) {
  std::optional<error_code> ended;
  std::move(operation)([&](error_code why, const auto&...) { ended = why; });
  run_until(io, [&] { return ended.has_value(); });
  return *ended;
}

}  // namespace
}  // namespace conn_grpc::test

namespace boost::asio {

template <class Signature>
class async_result<inspect_t, Signature> {
 public:
  template <class Initiation, class... Args>
  static void initiate(Initiation&& initiation, inspect_t token, Args&&...) {
    using type = std::decay_t<Initiation>;
    static_assert(execution::is_executor<typename type::executor_type>::value);
    static_assert(std::same_as<decltype(std::as_const(initiation).get_executor()), typename type::executor_type>);
    static_assert(std::copy_constructible<type>);
    *token.ran = true;
  }
};

}  // namespace boost::asio

TEST_CASE("the initiation of each operation has an executor", "[tokens]") {
  not_connected_fixture f;
  int operations = 0;
  const auto check = [&](const char* name, auto operation) {
    INFO(name);
    bool ran = false;
    operation(inspect_t{&ran});
    CHECK(ran);
    ++operations;
  };
  each_operation(f, check);
  check("async_run", [&](auto t) { f.pool.async_run(t); });
  check("static async_run", [&](auto t) { token_pool::async_run(f.io, t); });
  const auto stub = Greeter::NewStub(nowhere());
  grpc::ClientContext context;
  HelloReply reply;
  check("async_unary", [&](auto t) {
    conn_grpc::async_unary(*stub, &Greeter::Stub::async::SayHello, context, HelloRequest(), reply, t);
  });
  CHECK(operations == 13);
}

TEST_CASE("each operation takes a token, and completes", "[tokens]") {
  not_connected_fixture f;
  f.server.start();
  each_operation(f, [&](const char* name, auto operation) {
    INFO(name);
    CHECK(outcome(f.io, operation(asio::deferred)) == error_code());
  });
}

TEST_CASE("a named or static operation that finds no pool completes with not_started, by a post", "[tokens]") {
  asio::io_context io;
  int called = 0;
  const auto not_started = [&](error_code why, const auto&...) { called += why == errc::not_started ? 1 : 0; };
  conn_grpc::async_get_channel(io, "nothing", not_started);
  conn_grpc::async_get_channel(io.get_executor(), "nothing", 1h, not_started);
  conn_grpc::async_connected(io, "nothing", 1, not_started);
  token_pool::async_get_channel(io, not_started);
  token_pool::async_connected(io, 1, 1h, not_started);
  token_channel::async_get(io, not_started);
  token_channel::async_connected(io, 1h, not_started);
  CHECK(called == 0);
  io.poll();
  CHECK(called == 7);
}

TEST_CASE("a get by name looks the name up when it begins", "[tokens]") {
  asio::io_context io;
  auto operation = conn_grpc::async_get_channel(io, "later");
  conn_grpc::channel channel(io, {.name = "later", .address = "unix:/nowhere"});
  channel.async_run(asio::detached);
  CHECK(outcome(io, std::move(operation)) == errc::not_connected);
}

TEST_CASE("a caller can wait until a channel is connected", "[tokens]") {
  not_connected_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    error_code late;
    try {
      co_await f.channel.connected(1ms);
    } catch (const boost::system::system_error& e) {
      late = e.code();
    }
    CHECK(late == errc::not_connected);
    f.server.start_soon(f.io);
    co_await f.channel.connected(1h);
    co_await f.channel.connected();
    co_await token_channel::connected(1h);
    co_await token_channel::connected();
    co_await conn_grpc::connected("a pool");
    co_await conn_grpc::connected("a pool", 1, 1h);
    CHECK(f.channel.status().state == conn_grpc::channel_state::connected);
  }());
}

TEST_CASE("coroutines of another executor can await each operation", "[tokens]") {
  using executor = asio::io_context::executor_type;
  not_connected_fixture f;
  bool done = false;
  const auto body = [&]() -> asio::awaitable<void, executor> {
    f.server.start_soon(f.io);
    co_await f.pool.connected<executor>(1, 1h);
    co_await f.pool.connected<executor>();
    co_await f.channel.connected<executor>(1h);
    co_await token_pool::connected<executor>(1, 1h);
    co_await token_channel::connected<executor>(1h);
    co_await conn_grpc::connected<executor>("a pool", 1, 1h);
    auto channel = co_await f.pool.get_channel<executor>();
    CHECK(is_ready(channel));
    channel = co_await f.pool.get_channel<executor>(1h);
    channel = co_await f.channel.get<executor>();
    channel = co_await f.channel.get<executor>(1h);
    channel = co_await token_pool::get_channel<executor>();
    channel = co_await token_pool::get_channel<executor>(1h);
    channel = co_await token_channel::get<executor>();
    channel = co_await token_channel::get<executor>(1h);
    channel = co_await conn_grpc::get_channel<executor>("a pool");
    channel = co_await conn_grpc::get_channel<executor>("a pool", 1h);
    channel = co_await f.pool.async_get_channel();
    channel = co_await f.channel.async_get(1h);
    channel = co_await conn_grpc::async_get_channel(f.io, "a pool");
    co_await f.pool.async_connected(1);

    const auto stub = Greeter::NewStub(channel);
    HelloRequest request;
    HelloReply reply;
    grpc::ClientContext first;
    grpc::Status status =
        co_await conn_grpc::unary<executor>(*stub, &Greeter::Stub::async::SayHello, first, request, reply);
    CHECK(status.ok());
    grpc::ClientContext second;
    status = co_await conn_grpc::async_unary(*stub, &Greeter::Stub::async::SayHello, second, request, reply);
    CHECK(status.ok());
    done = true;
  };
  asio::co_spawn(f.io.get_executor(), body(), [](const std::exception_ptr& failed) {
    if (failed) std::rethrow_exception(failed);
  });
  run_until(f.io, [&] { return done; });
}

TEST_CASE("as_default_on sets another default token", "[tokens]") {
  using token = asio::as_tuple_t<asio::use_awaitable_t<>>;
  using pool_type = token::as_default_on_t<conn_grpc::pool>;
  using channel_type = token::as_default_on_t<conn_grpc::channel>;
  late_server server;
  server.start();
  asio::io_context io;
  pool_type pool(io, {.channel = server.options()});
  channel_type channel(io, server.options());
  const pool_type::executor_type given = pool.get_executor();
  CHECK(&asio::query(given, asio::execution::context) == &io);
  pool.async_run(asio::detached);
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        const auto [why] = co_await channel.async_run();
        CHECK(why == error_code());
      },
      asio::detached);
  run(io, [&]() -> asio::awaitable<void> {
    const auto [not_connected] = co_await pool.async_connected(1, 1h);
    CHECK_FALSE(not_connected);
    const auto [failed, got] = co_await pool.async_get_channel();
    CHECK(is_ready(got));
    const auto [waited, later] = co_await pool.async_get_channel(1h);
    CHECK(is_ready(later));
    const auto [too_late] = co_await channel.async_connected(1h);
    CHECK_FALSE(too_late);
    const auto [none, other] = co_await channel.async_get();
    CHECK(is_ready(other));
    pool.stop();
    channel.stop();
    const auto [stopped, nothing] = co_await pool.async_get_channel();
    CHECK(stopped == errc::stopped);
  }());
  io.restart();
  io.run();
}

TEST_CASE("async_run of an object that was stopped before completes with stopped", "[tokens]") {
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = {.address = "unix:/nowhere"}});
  pool.stop();
  CHECK(outcome(io, pool.async_run()) == errc::stopped);
  CHECK(outcome(io, pool.async_run()) == errc::stopped);
}

#if BOOST_VERSION >= 108600
TEST_CASE("cancel_after and cancel_at end each operation", "[tokens]") {
  not_connected_fixture f;
  each_operation(f, [&](const char* name, auto operation) {
    INFO(name);
    CHECK(outcome(f.io, operation(asio::cancel_after(1ms, asio::deferred))) == asio::error::operation_aborted);
    CHECK(outcome(f.io, operation(asio::cancel_after(1ms))) == asio::error::operation_aborted);
    const auto soon = std::chrono::steady_clock::now() + 1ms;
    CHECK(outcome(f.io, operation(asio::cancel_at(soon, asio::deferred))) == asio::error::operation_aborted);
  });
  conn_grpc::pool other(f.io, {.channel = f.server.options()});
  CHECK(outcome(f.io, other.async_run(asio::cancel_after(1ms, asio::deferred))) == asio::error::operation_aborted);
}

TEST_CASE("cancel_after ends an RPC", "[tokens]") {
  asio::io_context io;
  const auto stub = Greeter::NewStub(nowhere());
  run(io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);  // the RPC would wait for ever
    HelloRequest request;
    HelloReply reply;
    const grpc::Status status = co_await conn_grpc::async_unary(
        *stub, &Greeter::Stub::async::SayHello, context, request, reply, asio::cancel_after(1ms, asio::use_awaitable));
    CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
  }());
}

TEST_CASE("an operation with cancel_after completes when it is in time", "[tokens]") {
  not_connected_fixture f;
  f.server.start();
  each_operation(f, [&](const char* name, auto operation) {
    INFO(name);
    CHECK(outcome(f.io, operation(asio::cancel_after(1h, asio::deferred))) == error_code());
  });
}
#endif
