// SPDX-License-Identifier: BSL-1.0
// stop() and destruction wait for nothing. What they could wait for here takes far longer
// than a test may run.
#include <grpcpp/client_context.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "greeter.grpc.pb.h"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/listener.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_ptr;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

enum class pool_state { connecting, connected, held_by_user, rpc_in_flight, backing_off };

/// A pool of three in the state that the test asks for, and a peer for that state.
struct stop_fixture {
  explicit stop_fixture(pool_state state) : where(state) {
    seen.delay = [](int) { return 1h; };
    io.emplace();
    switch (where) {
      case pool_state::connecting:
        silent.emplace(*io, manner::stays_silent);
        address = silent->address();
        break;
      case pool_state::backing_off:
        address = port.address();
        break;
      default:
        server.emplace(greeter_server(), port.address());
        address = port.address();
    }
    pool.emplace(*io, conn_grpc::pool_options{.pool_size = 3, .channel = seen.watch({.address = address})});
    pool->async_run([this](error_code ec) {
      ended = ec;
      seen.changed.notify();
    });
    run(*io, arrive());
  }

  asio::awaitable<void> arrive() {
    if (where == pool_state::backing_off) {
      co_await seen.until([&] { return seen.waits == 3; });
    } else if (where == pool_state::connecting) {
      asio::steady_timer retry(*io);
      while (silent->accepted() < 3) {
        retry.expires_after(1ms);
        co_await retry.async_wait(asio::deferred);
      }
    } else {
      co_await seen.until([&] { return seen.connects == 3; });
      if (where == pool_state::held_by_user) held = co_await pool->get_channel();
      if (where == pool_state::rpc_in_flight) call();
    }
  }

  /// An RPC that would take an hour.
  void call() {
    stub = Greeter::NewStub(*pool->try_get_channel());
    request.set_delay_ms(3'600'000);
    auto promise = std::make_shared<std::promise<void>>();
    call_ended = promise->get_future();
    stub->async()->SayHello(&context, &request, &reply, [promise](const grpc::Status&) { promise->set_value(); });
  }

  ~stop_fixture() {
    if (!stub) return;
    context.TryCancel();
    call_ended.wait();
  }
  stop_fixture(const stop_fixture&) = delete;
  stop_fixture& operator=(const stop_fixture&) = delete;

  pool_state where;
  const reserved_port port;
  std::optional<server_process> server;
  std::string address;
  observer seen;
  channel_ptr held;
  std::unique_ptr<Greeter::Stub> stub;
  grpc::ClientContext context;
  HelloRequest request;
  HelloReply reply;
  std::future<void> call_ended;
  std::optional<asio::io_context> io;
  std::optional<listener> silent;
  std::optional<conn_grpc::pool> pool;
  std::optional<error_code> ended;
};

/// A user's callback on gRPC's thread. It has destroyed its RPC, and returns when this
/// object is destroyed.
class slow_callback {
 public:
  explicit slow_callback(const channel_ptr& channel) : rpc_(std::make_unique<rpc>(Greeter::NewStub(channel))) {
    rpc_->stub->async()->SayHello(&rpc_->context, &rpc_->request, &rpc_->reply, [this](const grpc::Status&) {
      rpc_.reset();
      begun_.set_value();
      timed_out_ = returns_.get_future().wait_for(10s) != std::future_status::ready;
      ended_.set_value();
    });
    begun_.get_future().wait();
  }
  ~slow_callback() {
    returns_.set_value();
    ended_.get_future().wait();
  }
  slow_callback(const slow_callback&) = delete;
  slow_callback& operator=(const slow_callback&) = delete;

  [[nodiscard]] bool is_running() const { return !timed_out_; }

 private:
  struct rpc {
    std::unique_ptr<Greeter::Stub> stub;
    grpc::ClientContext context{};
    HelloRequest request{};
    HelloReply reply{};
  };

  std::unique_ptr<rpc> rpc_;
  std::promise<void> begun_;
  std::promise<void> returns_;
  std::promise<void> ended_;
  std::atomic<bool> timed_out_{false};
};

pool_state any_state() {
  return GENERATE(pool_state::connecting, pool_state::connected, pool_state::held_by_user, pool_state::rpc_in_flight,
                  pool_state::backing_off);
}

}  // namespace

TEST_CASE("stop ends async_run in every state", "[stop]") {
  stop_fixture f(any_state());
  f.pool->stop();
  CHECK(f.pool->try_get_channel().error() == errc::stopped);
  run(*f.io, f.seen.until([&] { return f.ended.has_value(); }));
  CHECK(f.ended == error_code());
  CHECK(f.pool->status().current_size == 0);
  if (f.where == pool_state::rpc_in_flight)
    CHECK(f.call_ended.wait_for(0s) == std::future_status::timeout);  // the RPC is the user's
}

TEST_CASE("destruction ends async_run in every state", "[stop]") {
  stop_fixture f(any_state());
  f.pool.reset();
  run(*f.io, f.seen.until([&] { return f.ended.has_value(); }));
  CHECK(f.ended == error_code());
}

TEST_CASE("the io_context may be destroyed first, in every state", "[stop]") {
  stop_fixture f(any_state());
  f.silent.reset();
  f.io.reset();
  CHECK_FALSE(f.ended);
  if (GENERATE(true, false)) f.pool->stop();
  f.pool.reset();
}

TEST_CASE("stop and destruction from inside on_connect", "[stop]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  observer seen;
  std::optional<conn_grpc::pool> pool;
  std::optional<error_code> ended;
  auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  const bool destroy = GENERATE(false, true);
  options.on_connect = [&] {
    pool->stop();
    if (destroy) pool.reset();
  };
  pool.emplace(io, conn_grpc::pool_options{.pool_size = 1, .channel = options});
  pool->async_run([&](error_code ec) {
    ended = ec;
    seen.changed.notify();
  });
  run(io, seen.until([&] { return ended.has_value(); }));
  CHECK(ended == error_code());
  CHECK(seen.disconnects == 1);
}

TEST_CASE("a stopped pool's connections are closed, unless the user holds them", "[stop]") {
  stop_fixture f(GENERATE(pool_state::connected, pool_state::held_by_user));
  const auto port = f.port.number();
  CHECK(established_to(port) == 3);
  f.pool->stop();
  run(*f.io, f.seen.until([&] { return f.ended.has_value(); }));
  // gRPC closes the sockets on a thread of its own.
  while (established_to(port) > (f.held ? 1U : 0U)) std::this_thread::yield();
  if (f.held) CHECK(f.held->GetState(false) == GRPC_CHANNEL_READY);
}

TEST_CASE("a callback that blocks gRPC's thread does not delay stop", "[stop]") {
  stop_fixture f(pool_state::connected);
  const slow_callback slow(*f.pool->try_get_channel());
  f.pool->stop();
  run(*f.io, f.seen.until([&] { return f.ended.has_value(); }));
  CHECK(slow.is_running());
}

TEST_CASE("a callback that blocks gRPC's thread does not delay the losses of other pools", "[stop]") {
  stop_fixture f(pool_state::connected);
  const reserved_port port;
  server_process server(greeter_server(), port.address());
  observer seen;
  conn_grpc::channel other(*f.io, seen.watch({.address = port.address()}));
  other.async_run([](error_code) {});
  run(*f.io, seen.until([&] { return seen.connects == 1; }));

  const slow_callback slow(*f.pool->try_get_channel());
  f.server->kill();
  run(*f.io, f.seen.until([&] { return f.seen.disconnects > 0; }));
  server.kill();
  run(*f.io, seen.until([&] { return seen.disconnects == 1; }));
  CHECK(slow.is_running());
}

TEST_CASE("a pool that was never run, or whose context never ran, leaves nothing", "[stop]") {
  asio::io_context io;
  const reserved_port closed;
  conn_grpc::pool pool(io, {.pool_size = 2, .channel = {.address = closed.address()}});
  CHECK(pool.get_executor() == io.get_executor());
  if (GENERATE(true, false)) pool.async_run([](error_code) { FAIL("its context was not run"); });
}
