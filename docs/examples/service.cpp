// SPDX-License-Identifier: BSL-1.0
// service ADDRESS: the example of docs/getting-started.md. Greets the server at ADDRESS once a second until SIGINT or
// SIGTERM.
//[service
#include <boost/asio.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <iostream>

#include "greeter.grpc.pb.h"

namespace asio = boost::asio;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using namespace std::chrono_literals;

asio::awaitable<void> greet(conn_grpc::pool& pool) {
  auto channel = co_await pool.get_channel();  // std::shared_ptr<grpc::Channel>; throws if none is connected
  auto stub = Greeter::NewStub(channel);       // 150 ns: make one for each call, as the next channel is another one
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 1s);
  HelloRequest request;
  request.set_name("world");
  HelloReply reply;
  grpc::Status status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  std::cout << (status.ok() ? reply.message() : status.error_message()) << std::endl;
}

asio::awaitable<void> greet_every_second(conn_grpc::pool& pool) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    try {
      co_await greet(pool);
    } catch (const boost::system::system_error& e) {
      if (e.code() == conn_grpc::errc::stopped) co_return;
      std::cout << e.what() << std::endl;  // who has no connection, and why
    }
    timer.expires_after(1s);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

int main(int argc, char** argv) {
  asio::io_context io;
  conn_grpc::pool pool{
      io, {.name = "greeter", .pool_size = 5, .channel = {.address = argc > 1 ? argv[1] : "localhost:50051"}}};
  pool.async_run([](conn_grpc::error_code ec) {  // connects, retries, reconnects until stop()
    std::cout << "the pool has ended: " << ec.message() << std::endl;
  });
  asio::co_spawn(io, greet_every_second(pool), asio::detached);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](auto...) { pool.stop(); });
  io.run();
}
//]
