// SPDX-License-Identifier: BSL-1.0
// graceful_shutdown ADDRESS SERVER_MS GRACE_MS: a service that begins a call each 100 ms, of which the server takes
// SERVER_MS to answer. On SIGTERM or SIGINT it begins no more, and gives those in flight GRACE_MS to end.
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <list>
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

/// On one thread.
class calls_in_flight {
 public:
  calls_in_flight(asio::any_io_executor executor, conn_grpc::pool& pool, std::chrono::milliseconds server_takes)
      : executor_(executor), pool_(pool), server_takes_(server_takes), none_left_(executor, forever) {}

  /// Until it is cancelled.
  asio::awaitable<void> keep_beginning() {
    asio::steady_timer pause(executor_);
    for (int number = 1;; ++number) {
      begin("call " + std::to_string(number));
      pause.expires_after(100ms);
      co_await pause.async_wait(asio::use_awaitable);
    }
  }

  [[nodiscard]] std::size_t count() const { return in_flight_.size(); }

  asio::awaitable<void> until_none_is_left() {
    while (!in_flight_.empty()) co_await none_left_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

  /// Each ends soon, wherever it is: waiting for a channel, or for the server.
  void cancel() {
    for (auto& call : in_flight_) call.emit(asio::cancellation_type::terminal);
  }

 private:
  static constexpr auto forever = asio::steady_timer::time_point::max();

  void begin(std::string name) {
    const auto call = in_flight_.emplace(in_flight_.end());
    const auto end = [this, call](const std::exception_ptr&) {
      in_flight_.erase(call);
      if (in_flight_.empty()) none_left_.cancel();
    };
    asio::co_spawn(executor_, greet(pool_, std::move(name), server_takes_),
                   asio::bind_cancellation_slot(call->slot(), end));
  }

  asio::any_io_executor executor_;
  conn_grpc::pool& pool_;
  std::chrono::milliseconds server_takes_;
  std::list<asio::cancellation_signal> in_flight_;
  asio::steady_timer none_left_;
};

//[serve
asio::awaitable<void> serve(conn_grpc::pool& pool, calls_in_flight& calls, std::chrono::milliseconds grace) {
  co_await pool.connected(1, 2s);  // throws if there is no server; until here a signal just ends the process
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
  std::cout << "ready" << std::endl;
  co_await (calls.keep_beginning() || signals.async_wait(asio::use_awaitable));

  std::cout << "stopping: " << calls.count() << " calls in flight" << std::endl;
  asio::steady_timer deadline(co_await asio::this_coro::executor, grace);
  co_await (calls.until_none_is_left() || deadline.async_wait(asio::use_awaitable));
  if (calls.count() > 0) {
    std::cout << "cancelling " << calls.count() << " calls" << std::endl;
    calls.cancel();
    co_await calls.until_none_is_left();
  }
  std::cout << "no call is left" << std::endl;
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
  calls_in_flight calls(io.get_executor(), pool, server_takes);
  //[run
  pool.async_run([](conn_grpc::error_code ec) { std::cout << "the pool has ended: " << ec.message() << std::endl; });
  asio::co_spawn(io, serve(pool, calls, grace), [&](const std::exception_ptr& failed) {
    status = exit_status(failed);
    pool.stop();  // async_run completes; then nothing is left to do, and io.run() returns
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
