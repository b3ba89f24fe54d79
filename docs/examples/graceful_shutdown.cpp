// SPDX-License-Identifier: BSL-1.0
// graceful_shutdown ADDRESS SERVER_MS GRACE_MS: a service that begins a call each 100 ms, of which the server takes
// SERVER_MS to answer. On SIGTERM or SIGINT it begins no more, and gives those in flight GRACE_MS to end.
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <string>

#include "greeter.grpc.pb.h"

namespace {

namespace asio = boost::asio;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

/// One call. Whatever happens to it is a line, and no exception.
asio::awaitable<void> greet(conn_grpc::pool& pool, std::string name, std::chrono::milliseconds server_takes) {
  try {
    auto stub = Greeter::NewStub(co_await pool.get_channel(1s));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 60s);
    HelloRequest request;
    request.set_name(name);
    request.set_delay_ms(static_cast<int>(server_takes.count()));
    HelloReply reply;
    std::cout << name << " begins" << std::endl;
    auto status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
    std::cout << name << ": " << (status.ok() ? reply.message() : status.error_message()) << std::endl;
  } catch (const boost::system::system_error& e) {
    std::cout << name << ": " << e.what() << std::endl;
  }
}

/// Begins a call each 100 ms, until it is cancelled.
asio::awaitable<void> keep_calling(conn_grpc::pool& pool, std::chrono::milliseconds server_takes) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  for (int number = 1;; ++number) {
    asio::co_spawn(executor, greet(pool, "call " + std::to_string(number), server_takes), asio::detached);
    pause.expires_after(100ms);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

//[serve
asio::awaitable<void> serve(conn_grpc::pool& pool, std::chrono::milliseconds server_takes,
                            std::chrono::milliseconds grace) {
  co_await pool.connected(1, 2s);  // throws if there is no server; until here a signal just ends the process
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
  std::cout << "ready" << std::endl;
  co_await (keep_calling(pool, server_takes) || signals.async_wait(asio::use_awaitable));

  std::cout << "stopping" << std::endl;
  co_await pool.drain(grace);  // no gets from now on; RPCs in flight end, or the time is over; then stop()
  std::cout << "drained" << std::endl;
}
//]

int exit_status(const std::exception_ptr& failed) {
  try {
    if (failed) std::rethrow_exception(failed);
    return EXIT_SUCCESS;
  } catch (const std::exception& e) {
    std::cerr << "not ready: " << e.what() << std::endl;
    return EXIT_FAILURE;
  }
}

int run(const conn_grpc::pool_options& options, std::chrono::milliseconds server_takes,
        std::chrono::milliseconds grace) {
  int status = EXIT_FAILURE;
  asio::io_context io;
  conn_grpc::pool pool(io, options);
  //[run
  pool.async_run(asio::detached);
  asio::co_spawn(io, serve(pool, server_takes, grace), [&](const std::exception_ptr& failed) {
    status = exit_status(failed);
    io.stop();  // RPCs that are still in flight are cancelled when io is destroyed
  });
  io.run();
  //]
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  return run({.name = "greeter", .pool_size = 2, .channel = {.address = arguments[1]}},
             std::chrono::milliseconds(std::stoi(arguments[2])), std::chrono::milliseconds(std::stoi(arguments[3])));
}
