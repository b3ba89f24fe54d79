// SPDX-License-Identifier: BSL-1.0
// Executors of the user's that own their context, or throw, with each kind of operation.
// The tests that need no gRPC are in runtime/executors_test.cpp.
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "greeter.grpc.pb.h"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/late_server.hpp"
#include "support/server_process.hpp"
#include "support/user_executor.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

/// A context and an executor of the user's.
struct users {
  [[nodiscard]] user_executor executor() const { return {context, script}; }

  std::shared_ptr<asio::io_context> context = std::make_shared<asio::io_context>();
  std::shared_ptr<user_script> script = std::make_shared<user_script>();
};

struct call {
  const server_process server{greeter_server(), "127.0.0.1:0"};
  const std::unique_ptr<Greeter::Stub> stub = Greeter::NewStub(
      grpc::CreateChannel("127.0.0.1:" + std::to_string(server.port()), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  HelloRequest request;
  HelloReply reply;
  asio::cancellation_signal cancel;
  std::promise<grpc::StatusCode> ended;
  std::thread::id caller;

  void begin(const user_executor& executor) {
    conn_grpc::async_unary(
        *stub, &Greeter::Stub::async::SayHello, context, request, reply,
        asio::bind_cancellation_slot(cancel.slot(), asio::bind_executor(executor, [this](const grpc::Status& status) {
                                       caller = std::this_thread::get_id();
                                       ended.set_value(status.error_code());
                                     })));
  }

  grpc::StatusCode result() {
    auto future = ended.get_future();
    if (future.wait_for(30s) != std::future_status::ready) throw std::runtime_error("the test hangs");
    return future.get();
  }
};

/// A pool without a server, whose operations are answered when it is stopped.
struct stopped_pool {
  stopped_pool() {
    pool.async_run(asio::bind_executor(user.executor(), [this](error_code ec) { ran = ec; }));
  }

  template <class Token>
  auto bound(Token token) {
    return asio::bind_executor(user.executor(), std::move(token));
  }

  void stop_with_refusals(int refused) {
    user.script->refused = refused;
    pool.stop();
    run_until(io, [this] { return ran.has_value(); });
    CHECK(user.script->refused == 0);
    CHECK(user.context->poll() == 0);
    CHECK(ran == error_code());
  }

  users user;
  late_server server;
  asio::io_context io;
  conn_grpc::pool pool{io, {.channel = server.options()}};
  std::optional<error_code> ran;
};

}  // namespace

TEST_CASE("the executor of an RPC's handler may be the last owner of its context", "[completion]") {
  users user;
  user.script->runs_at_once = true;
  call rpc;
  const bool cancelled = GENERATE(false, true);
  if (cancelled) rpc.request.set_delay_ms(3'600'000);
  rpc.begin(user.executor());
  const std::weak_ptr context = std::exchange(user.context, nullptr);
  if (cancelled) rpc.cancel.emit(asio::cancellation_type::total);
  CHECK(rpc.result() == (cancelled ? grpc::StatusCode::CANCELLED : grpc::StatusCode::OK));
  const auto end = std::chrono::steady_clock::now() + 30s;  // gRPC's thread may still be in execute()
  while (!context.expired() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  CHECK(context.expired());
}

TEST_CASE("an RPC whose handler's executor throws is completed by the system executor", "[completion]") {
  users user;
  user.script->refused = 1;
  call rpc;
  rpc.begin(user.executor());
  CHECK(rpc.result() == grpc::StatusCode::OK);
  CHECK(rpc.caller != std::this_thread::get_id());
  CHECK(user.context->poll() == 0);
}

TEST_CASE("the pool's executor calls a handler that its own executor refuses", "[completion]") {
  stopped_pool f;
  std::optional<error_code> got;
  std::optional<error_code> sized;
  std::optional<error_code> at_once;
  f.pool.async_get_channel(1h, f.bound([&](error_code ec, const channel_ptr&) { got = ec; }));
  f.pool.async_connected(1, f.bound([&](error_code ec) { sized = ec; }));
  f.user.script->refused = 1;
  f.pool.async_get_channel(f.bound([&](error_code ec, const channel_ptr&) { at_once = ec; }));
  CHECK_FALSE(at_once);
  CHECK(f.user.script->refused == 0);
  f.stop_with_refusals(3);
  f.io.restart();
  f.io.poll();
  CHECK(got == errc::stopped);
  CHECK(sized == errc::stopped);
  CHECK(at_once == errc::not_connected);
}

TEST_CASE("async_run that fails at once completes when the handler's executor throws", "[completion]") {
  stopped_pool f;
  std::optional<error_code> second;
  f.user.script->refused = 1;
  f.pool.async_run(f.bound([&](error_code ec) { second = ec; }));
  CHECK_FALSE(second);
  run_until(f.io, [&] { return second.has_value(); });
  CHECK(second == asio::error::already_started);
  f.stop_with_refusals(1);
}

TEST_CASE("an any_completion_handler whose executor throws is called by the pool's executor", "[completion]") {
  stopped_pool f;
  std::optional<error_code> got;
  using handler = asio::any_completion_handler<void(error_code, channel_ptr)>;
  f.pool.async_get_channel(1h, handler(f.bound([&](error_code ec, const channel_ptr&) { got = ec; })));
  f.stop_with_refusals(2);
  CHECK(got == errc::stopped);
}

TEST_CASE("a coroutine whose executor throws continues on the pool's executor", "[completion]") {
  stopped_pool f;
  std::optional<error_code> got;
  asio::co_spawn(
      asio::any_io_executor(f.user.executor()),
      [&]() -> asio::awaitable<void> {
        try {
          (void)co_await f.pool.get_channel(1h);
        } catch (const boost::system::system_error& e) {
          got = e.code();
        }
      },
      asio::detached);
  f.user.context->poll();
  f.user.script->refused = 1;
  f.pool.stop();
  CHECK(f.user.script->refused == 0);
  f.io.run_for(30s);  // until nothing is left to do
  REQUIRE(got);
  CHECK(got->message() == "stopped");
  f.user.context->restart();
  f.user.context->run();  // the coroutine ends there, and async_run
  CHECK(f.ran == error_code());
}
