// SPDX-License-Identifier: BSL-1.0
// inside_the_io_context GREETER_SERVER: the snippets of docs/inside-the-io-context.md, and a
// test of them. Built with a gRPC that has a public EventEngine.
//[scope_header
#include <conn_grpc/event_engine.hpp>
//]

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

using namespace examples;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;

// The snippets' pools connect to a port that no server of this test has. So these functions
// only construct.
void construct() {
  //[scope
  asio::io_context io;
  conn_grpc::event_engine_scope scope(io);
  conn_grpc::pool pool{io, {.pool_size = 5, .channel = {.address = "localhost:50051"}}};
  //]
}

void construct_polling() {
  using namespace std::chrono_literals;
  asio::io_context io;
  //[busy
  conn_grpc::event_engine_scope scope(io, {.busy_poll = 100us});
  //]
}

conn_grpc::channel_options with_other_sockets() {
  //[sockets
  asio::io_context sockets_io;
  const auto work = asio::make_work_guard(sockets_io);
  conn_grpc::event_engine_scope sockets(sockets_io, conn_grpc::event_engine_use::only_sockets);
  conn_grpc::channel_options options{.address = "localhost:50051"};
  sockets.add_to(options.arguments);
  //]
  return options;
}

void call(const std::string& address) {
  asio::io_context io;
  const conn_grpc::event_engine_scope scope(io);
  conn_grpc::pool pool{io, {.pool_size = 2, .channel = {.address = address}}};
  pool.async_run(asio::detached);
  grpc::Status status(grpc::StatusCode::UNKNOWN, "never ended");
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        co_await pool.connected(2, std::chrono::seconds(10));
        const auto stub = Greeter::NewStub(co_await pool.get_channel());
        grpc::ClientContext context;
        HelloRequest request;
        HelloReply reply;
        status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
        pool.stop();
      },
      asio::detached);
  io.run();
  require(status.ok());
}

}  // namespace

int main(int, char** argv) try {
  construct();
  construct_polling();
  (void)with_other_sockets();
  const conn_grpc::test::server_process server(argv[1], "127.0.0.1:0");
  call("127.0.0.1:" + std::to_string(server.port()));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
