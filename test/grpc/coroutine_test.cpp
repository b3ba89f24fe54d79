// SPDX-License-Identifier: BSL-1.0
// get_channel() and unary() in coroutines.
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "greeter.grpc.pb.h"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::error_code;

namespace {

struct connected_pool {
  connected_pool() {
    pool.async_run([](error_code) {});
    run(io, seen.until([&] { return seen.connects == 2; }));
    stub = Greeter::NewStub(*pool.try_get_channel());
  }

  const server_process server{greeter_server(), "127.0.0.1:0"};
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool{io,
                       {.name = "greeter",
                        .pool_size = 2,
                        .channel = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())})}};
  std::unique_ptr<Greeter::Stub> stub;
};

/// The address of this function's frame.
[[gnu::noinline]] std::uintptr_t stack_depth() { return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)); }

HelloRequest slow(std::chrono::milliseconds delay) {
  HelloRequest request;
  request.set_delay_ms(static_cast<int>(delay.count()));
  return request;
}

}  // namespace

TEST_CASE("a million gets in a row do not grow the stack", "[coroutine]") {
  connected_pool f;
  run(f.io, [&]() -> asio::awaitable<void> {
    (void)co_await f.pool.get_channel();
    const auto before = stack_depth();
    for (int i = 0; i < 1'000'000; ++i)
      if (!co_await f.pool.get_channel()) FAIL("no channel");
    CHECK(stack_depth() == before);
  }());
}

TEST_CASE("a coroutine stays on its own context", "[coroutine]") {
  connected_pool f;
  asio::thread_pool elsewhere(1);
  auto done = asio::co_spawn(
      elsewhere,
      [&]() -> asio::awaitable<bool> {
        const auto here = std::this_thread::get_id();
        bool stays = true;
        for (int i = 0; i < 10; ++i) {
          const auto channel = co_await f.pool.get_channel();
          stays = stays && std::this_thread::get_id() == here;
          const auto stub = Greeter::NewStub(channel);
          grpc::ClientContext context;
          HelloReply reply;
          const auto status =
              co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, HelloRequest(), reply);
          stays = stays && status.ok() && std::this_thread::get_id() == here;
        }
        co_return stays;
      },
      asio::use_future);
  CHECK(done.get());
}

TEST_CASE("a get that finds a channel does not suspend its coroutine", "[coroutine]") {
  connected_pool f;
  int others = 0;
  run(f.io, [&]() -> asio::awaitable<void> {
    asio::post(f.io, [&] { ++others; });
    for (int i = 0; i < 100; ++i) (void)co_await f.pool.get_channel();
    CHECK(others == 0);  // nothing else ran in between
  }());
}

TEST_CASE("a channel on its own can be used without a pool", "[coroutine]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  conn_grpc::channel channel(io,
                             seen.watch({.name = "single", .address = "127.0.0.1:" + std::to_string(server.port())}));
  CHECK(channel.try_get().error() == conn_grpc::errc::not_started);
  channel.async_run([](error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    CHECK(co_await channel.get() == *channel.try_get());
    CHECK(channel.status().name == "single");
    CHECK(channel.status().state == conn_grpc::channel_state::connected);
  }());
}

TEST_CASE("a user's create_channel may return a channel to an in-process server", "[coroutine]") {
  struct greeter final : Greeter::Service {
    grpc::Status SayHello(grpc::ServerContext*, const HelloRequest* request, HelloReply* reply) override {
      reply->set_message("Hello " + request->name());
      return grpc::Status::OK;
    }
  } service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  asio::io_context io;
  observer seen;
  auto options = seen.watch({.address = "in-process"});
  options.create_channel = [&](const auto&...) { return server->InProcessChannel({}); };
  conn_grpc::channel channel(io, options);
  channel.async_run(asio::detached);
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    const auto stub = Greeter::NewStub(co_await channel.get());
    grpc::ClientContext context;
    HelloRequest request;
    request.set_name("process");
    HelloReply reply;
    const auto status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
    CHECK(status.ok());
    CHECK(reply.message() == "Hello process");
  }());
}

TEST_CASE("async_run completes on another executor when the context has been destroyed", "[coroutine]") {
  std::optional<asio::io_context> io(std::in_place);
  conn_grpc::channel channel(*io, {.address = "localhost:1"});
  io.reset();
  CHECK_THROWS_AS(channel.async_run(asio::use_future).get(), boost::system::system_error);
  CHECK(channel.try_get().error() == conn_grpc::errc::stopped);
}

TEST_CASE("async_run takes any token", "[coroutine]") {
  using namespace boost::asio::experimental::awaitable_operators;
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::thread_pool context(1);
  const conn_grpc::channel_options options{.address = "127.0.0.1:" + std::to_string(server.port())};
  {
    conn_grpc::channel channel(context, options);
    channel.async_run(asio::detached);
  }
  {
    conn_grpc::channel channel(context, options);
    auto ended = channel.async_run(asio::use_future);
    channel.stop();
    CHECK_NOTHROW(ended.get());
  }
  const auto body = [&]() -> asio::awaitable<void> {
    conn_grpc::channel channel(context, options);
    channel.stop();
    const auto [stopped] = co_await channel.async_run(asio::as_tuple(asio::deferred));
    CHECK(stopped == conn_grpc::errc::stopped);
    conn_grpc::channel cancelled(context, options);
    asio::steady_timer now(context, 0s);
    const auto first =
        co_await (cancelled.async_run(asio::as_tuple(asio::use_awaitable)) || now.async_wait(asio::use_awaitable));
    CHECK(first.index() == 1);
    CHECK(cancelled.try_get().error() == conn_grpc::errc::stopped);
  };
  asio::co_spawn(context, body, asio::use_future).get();
}

TEST_CASE("cancellation ends an RPC with CANCELLED", "[coroutine]") {
  using namespace boost::asio::experimental::awaitable_operators;
  connected_pool f;
  std::optional<grpc::Status> status;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    HelloReply reply;
    const auto request = slow(1h);
    const auto call = [&]() -> asio::awaitable<void> {
      status = co_await conn_grpc::unary(*f.stub, &Greeter::Stub::async::SayHello, context, request, reply);
    };
    asio::steady_timer soon(f.io, 10ms);
    co_await (call() || soon.async_wait(asio::use_awaitable));
  }());
  REQUIRE(status);
  CHECK(status->error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("gRPC enforces the deadline of a ClientContext", "[coroutine]") {
  connected_pool f;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20ms);
    HelloReply reply;
    const auto status = co_await conn_grpc::unary(*f.stub, &Greeter::Stub::async::SayHello, context, slow(1h), reply);
    CHECK(status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  }());
}

TEST_CASE("an RPC takes any token, and completes on the handler's executor", "[coroutine]") {
  connected_pool f;
  grpc::ClientContext context;
  HelloReply reply;
  HelloRequest request;
  request.set_name("future");
  auto future =
      conn_grpc::async_unary(*f.stub, &Greeter::Stub::async::SayHello, context, request, reply, asio::use_future);
  CHECK(future.get().ok());
  CHECK(reply.message() == "Hello future");

  const auto strand = asio::make_strand(f.io);
  grpc::ClientContext second;
  std::optional<bool> on_strand;
  conn_grpc::async_unary(*f.stub, &Greeter::Stub::async::SayHello, second, request, reply,
                         asio::bind_executor(strand, [&](grpc::Status status) {
                           on_strand = status.ok() && strand.running_in_this_thread();
                           f.seen.changed.notify();
                         }));
  CHECK_FALSE(on_strand);
  run(f.io, f.seen.until([&] { return on_strand.has_value(); }));
  CHECK(*on_strand);
}

TEST_CASE("an RPC has ended before the frame of its destroyed coroutine is released", "[coroutine]") {
  connected_pool f;
  asio::io_context other;
  auto doomed = std::make_unique<asio::io_context>();
  for (int i = 0; i < 5; ++i)
    asio::co_spawn(
        *doomed,
        [&]() -> asio::awaitable<void> {
          grpc::ClientContext context;
          HelloReply reply;  // gRPC would write here
          const auto request = slow(1h);
          (void)co_await conn_grpc::unary(*f.stub, &Greeter::Stub::async::SayHello, context, request, reply);
          FAIL("resumed");
        },
        [](std::exception_ptr) {});
  doomed->poll();
  doomed.reset();
}
