// SPDX-License-Identifier: BSL-1.0
// guide GREETER_SERVER: the snippets of docs/guide.md, and a test of each.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

using namespace examples;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using namespace std::chrono_literals;

conn_grpc::pool_options options_for(const std::string& address) {
  return {.name = "greeter", .pool_size = 2, .channel = {.address = address, .backoff = {.min = 20ms, .max = 20ms}}};
}

// Runs `body` with a pool that connects to `address`, and stops the pool when it returns.
void with_pool(const std::string& address,
               const std::function<asio::awaitable<void>(asio::io_context&, conn_grpc::pool&)>& body) {
  asio::io_context io;
  conn_grpc::pool pool(io, options_for(address));
  pool.async_run(asio::detached);
  const auto stop_at_end = [&]() -> asio::awaitable<void> {
    co_await body(io, pool);
    pool.stop();
  };
  asio::co_spawn(io, stop_at_end, rethrow);
  io.run();
}

asio::awaitable<void> get_in_all_ways(asio::io_context&, conn_grpc::pool& pool) {
  co_await pool.connected();
  //[gets
  boost::system::result<conn_grpc::channel_ptr> now = pool.try_get_channel();  // a channel, or an error_code
  conn_grpc::channel_ptr channel = co_await pool.get_channel();                // a channel, or an exception
  conn_grpc::channel_ptr later = co_await pool.get_channel(500ms);             // the same, after 500 ms at most
  auto [ec, last] = co_await pool.async_get_channel(500ms, asio::as_tuple(asio::use_awaitable));
  co_await pool.connected(2, 5s);  // until two are connected
  //]
  require(now && channel && later && !ec && last);
}

asio::awaitable<void> use_another_default_token(asio::io_context& io, conn_grpc::pool&) {
  const std::string address = "unix:/nowhere";
  //[default_token
  using tuple_pool = asio::as_tuple_t<asio::use_awaitable_t<>>::as_default_on_t<conn_grpc::pool>;
  tuple_pool other(io, options_for(address));
  auto [error, found] = co_await other.async_get_channel();  // not_started: async_run has not been called
  //]
  require(error == conn_grpc::errc::not_started && !found);
}

asio::awaitable<void> get_with_another_executor(asio::io_context& io, conn_grpc::pool& pool) {
  //[executor
  auto typed = []() -> asio::awaitable<conn_grpc::channel_ptr, asio::io_context::executor_type> {
    co_return co_await conn_grpc::get_channel<asio::io_context::executor_type>("greeter", 500ms);
  };
  //]
  co_await pool.connected();
  const auto channel = co_await asio::co_spawn(io.get_executor(), typed(), asio::use_awaitable);
  require(channel != nullptr);
}

asio::awaitable<void> get_by_name(asio::io_context&, conn_grpc::pool&) {
  conn_grpc::channel_ptr channel = co_await conn_grpc::get_channel("greeter", 500ms);
  require(channel != nullptr);
}

// What is done with the channel does not matter here.
void use(const std::shared_ptr<int>& used, const conn_grpc::channel_ptr& channel) { *used += channel ? 1 : 0; }

asio::awaitable<void> complete_in_all_ways(asio::io_context& io, conn_grpc::pool& pool) {
  const auto used = std::make_shared<int>(0);
  //[callbacks
  pool.async_get_channel(500ms, [used](conn_grpc::error_code ec, conn_grpc::channel_ptr channel) {
    if (!ec) use(used, channel);  // on the pool's executor, after this call has returned
  });
  auto strand = asio::make_strand(io);
  pool.async_connected(2, asio::bind_executor(strand, [used, strand](conn_grpc::error_code ec) {
                         if (!ec && strand.running_in_this_thread()) ++*used;
                       }));
  //]
  //[deferred
  auto get = pool.async_get_channel(500ms);  // asio::deferred is the default: nothing has begun
  auto channel = co_await std::move(get);    // now it has
  //]
  require(channel != nullptr);
  while (*used < 2) co_await asio::post(asio::use_awaitable);
}

asio::awaitable<void> wait_for_one_of_two(asio::io_context& io, conn_grpc::pool& pool) {
  asio::steady_timer patience(io, 1min);
  //[either
  using namespace asio::experimental::awaitable_operators;
  auto first = co_await (pool.get_channel(5s) || patience.async_wait(asio::use_awaitable));
  const conn_grpc::channel_ptr* channel = std::get_if<0>(&first);  // null: the timer was first
  //]
  require(channel && *channel);
}

// Nobody is there to connect to.
asio::awaitable<void> cancel_what_waits(asio::io_context&, conn_grpc::pool& pool) {
  bool cancelled = false;
  //[cancel
  asio::cancellation_signal cancel;
  pool.async_get_channel(
      1h, asio::bind_cancellation_slot(cancel.slot(), [&](conn_grpc::error_code ec, conn_grpc::channel_ptr) {
        cancelled = ec == asio::error::operation_aborted;
      }));
  cancel.emit(asio::cancellation_type::total);  // by the thread, or on the strand, that runs the handler
  //]
  while (!cancelled) co_await asio::post(asio::use_awaitable);
}

asio::awaitable<void> time_out(asio::io_context& io, conn_grpc::pool& pool) {
  // On a machine under load no attempt may end within the 100 ms, and then there is no reason to give.
  connection_news news(io);
  co_await news.until(
      [&] { return std::ranges::any_of(pool.status().channels, [](const auto& c) { return !c.last_error.empty(); }); });
  try {
    (void)co_await pool.get_channel(100ms);
    require(false);
  } catch (const boost::system::system_error& e) {
    require(e.code() == conn_grpc::errc::not_connected);
    require(std::string(e.what()).find("Connection refused") != std::string::npos);
  }
}

asio::awaitable<std::string> greeting(conn_grpc::pool& pool) {
  auto stub = Greeter::NewStub(co_await pool.get_channel(5s));
  grpc::ClientContext context;
  HelloRequest request;
  HelloReply reply;
  request.set_name("world");
  (void)co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  co_return reply.message();
}

void live_on_two_contexts(const std::string& address) {
  //[contexts
  asio::io_context io;        // keeps the connections
  asio::thread_pool workers;  // uses them
  conn_grpc::pool pool(io, options_for(address));
  pool.async_run(asio::detached);
  std::thread network([&] { io.run(); });
  auto greeted = asio::co_spawn(workers, greeting(pool), asio::use_future);
  //]
  //[future
  std::future<conn_grpc::channel_ptr> future = pool.async_get_channel(5s, asio::use_future);
  conn_grpc::channel_ptr channel = future.get();  // blocks; throws the error_code, without the reason
  //]
  require(channel && greeted.get() == "Hello world");
  pool.stop();
  network.join();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  end_within_a_minute();
  const conn_grpc::test::reserved_port nobody_there;
  with_pool(nobody_there.address(), cancel_what_waits);
  with_pool(nobody_there.address(), time_out);
  const conn_grpc::test::reserved_port port;
  const conn_grpc::test::server_process server(argv[1], port.address());
  for (const auto body : {get_in_all_ways, get_by_name, complete_in_all_ways, wait_for_one_of_two,
                          use_another_default_token, get_with_another_executor})
    with_pool(port.address(), body);
  live_on_two_contexts(port.address());
}
