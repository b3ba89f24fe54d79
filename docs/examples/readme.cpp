// SPDX-License-Identifier: BSL-1.0
// readme GREETER_SERVER: the example of the README, run against a server.
#include <boost/asio.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <string>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

namespace asio = boost::asio;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using namespace std::chrono_literals;

//[example
asio::awaitable<void> greet(conn_grpc::pool& pool) {
  auto channel = co_await pool.get_channel(1s);  // throws if no channel connects within a second
  auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 1s);
  HelloRequest request;
  request.set_name("world");
  HelloReply reply;
  auto status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  std::cout << (status.ok() ? reply.message() : status.error_message()) << '\n';
}

void run(asio::io_context& io, const std::string& address) {
  conn_grpc::pool pool(io, {.name = "greeter", .pool_size = 5, .channel = {.address = address}});
  pool.async_run(asio::detached);  // connects, retries and reconnects until stop()
  asio::co_spawn(io, greet(pool), [&](const std::exception_ptr& failed) {
    pool.stop();
    if (failed) std::rethrow_exception(failed);  // io.run() throws it; what() has the cause
  });
  io.run();
}
//]

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  examples::end_within_a_minute();
  const conn_grpc::test::server_process server(argv[1], "127.0.0.1:0");
  asio::io_context io;
  run(io, "127.0.0.1:" + std::to_string(server.port()));
}
