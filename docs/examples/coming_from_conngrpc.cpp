// SPDX-License-Identifier: BSL-1.0
// coming_from_conngrpc GREETER_SERVER: the snippets of docs/coming-from-conngrpc.md, and a test of each. This file has
// the pools and channels.
#include "coming_from_conngrpc.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

using namespace examples;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;

//[pool
struct demo_pool : conn_grpc::static_pool<demo_pool> {
  static conn_grpc::pool_options options() {
    return {
        .pool_size = 5,
        .channel = {.address = address},
    };
  }
};
//]

//[channel
struct demo_channel : conn_grpc::static_channel<demo_channel> {
  static conn_grpc::channel_options options() { return {.address = address}; }
};
//]

//[call
asio::awaitable<grpc::Status> greet(conn_grpc::channel_ptr channel) {
  auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  HelloRequest request;
  HelloReply reply;
  co_return co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
}
//]

asio::awaitable<bool> greets(conn_grpc::channel_ptr channel) {
  const grpc::Status status = co_await greet(std::move(channel));
  co_return status.ok();
}

asio::awaitable<bool> get_or_say_why_not() {
  //[exception
  try {
    auto channel = co_await demo_pool::get_channel();
    grpc::Status status = co_await greet(channel);
    co_return status.ok();
  } catch (const boost::system::system_error& e) {
    if (e.code() != conn_grpc::errc::not_connected) throw;
    std::cout << e.what() << '\n';  // also why the last attempt failed
    co_return false;
  }
  //]
}

bool try_or_say_why_not(asio::io_context& io) {
  //[result
  auto channel = demo_pool::try_get_channel(io);
  if (!channel) std::cout << channel.error().message() << '\n';
  //]
  return channel.has_value();
}

void run_a_pool_that_is_a_type() {
  asio::io_context io;
  connection_news news(io);
  const auto body = [&]() -> asio::awaitable<void> {
    require(!co_await get_or_say_why_not());
    require(!try_or_say_why_not(io));
    co_await news.until([&] { return demo_pool::status(io).current_size == 5; });
    require(co_await get_or_say_why_not());
    require(try_or_say_why_not(io));
    //[get_from_pool
    auto channel = co_await demo_pool::get_channel();
    //]
    require(co_await greets(channel));
    demo_pool::stop(io);
    require(demo_pool::try_get_channel(io).error() == conn_grpc::errc::not_started);
  };
  asio::co_spawn(io, body, rethrow);
  //[supervise_pool
  demo_pool::async_run(io, [](conn_grpc::error_code ec) {
    if (ec) std::cerr << "demo_pool: " << ec.message() << '\n';
  });
  io.run();
  //]
}

void run_a_pool_that_is_an_object() {
  asio::io_context io;
  connection_news news(io);
  //[pool_object
  conn_grpc::pool_options options{
      .name = "demo_pool",
      .pool_size = 5,
      .channel = {.address = address},
  };
  conn_grpc::pool pool(io, options);
  pool.async_run(asio::detached);
  //]
  const auto body = [&]() -> asio::awaitable<void> {
    co_await news.until([&] { return pool.status().current_size == 5; });
    //[get_from_object
    auto channel = co_await pool.get_channel();
    //]
    require(co_await greets(channel));
    //[get_by_name
    auto next = co_await conn_grpc::get_channel("demo_pool");
    //]
    require(next != channel && co_await greets(next));
    //[all_channels
    std::vector<std::string> connected;
    for (const conn_grpc::channel_status& each : pool.status().channels)
      if (each.state == conn_grpc::channel_state::connected) connected.push_back(each.name);
    //]
    require(connected.size() == 5 && connected.front() == "demo_pool/0");
    pool.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();
}

void run_a_channel_that_is_a_type() {
  asio::io_context io;
  connection_news news(io);
  const auto body = [&]() -> asio::awaitable<void> {
    co_await news.until([&] { return demo_channel::try_get(io).has_value(); });
    //[get_from_channel
    auto channel = co_await demo_channel::get();
    //]
    require(co_await greets(channel));
    demo_channel::stop(io);
  };
  asio::co_spawn(io, body, rethrow);
  //[supervise_channel
  demo_channel::async_run(io, asio::detached);
  io.run();
  //]
}

void run_a_channel_that_is_an_object() {
  asio::io_context io;
  connection_news news(io);
  //[channel_object
  conn_grpc::channel demo(io, {.name = "demo_channel", .address = address});
  demo.async_run(asio::detached);
  //]
  const auto body = [&]() -> asio::awaitable<void> {
    co_await news.until([&] { return demo.try_get().has_value(); });
    //[get_channel_by_name
    auto channel = co_await conn_grpc::get_channel("demo_channel");
    //]
    require(channel == co_await demo.get() && co_await greets(channel));
    demo.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  examples::end_within_a_minute();
  {
    const conn_grpc::test::server_process server(argv[1], "127.0.0.1:0");
    examples::address = "127.0.0.1:" + std::to_string(server.port());
    run_a_pool_that_is_a_type();
    run_a_pool_that_is_an_object();
    run_a_channel_that_is_a_type();
    run_a_channel_that_is_an_object();
    examples::hear_events();
    examples::hit_the_restart_limit();
  }
  examples::use_options(argv[1]);
}
