// SPDX-License-Identifier: BSL-1.0
// demo GREETER_SERVER: a service calls a server that is killed, comes back and is replaced. Exits with 0 if the service
// got over all of it. How to use the library is in greeting_service.cpp, what happens in story.cpp.
#include <spdlog/fmt/fmt.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "background_server.hpp"
#include "greeting_service.hpp"
#include "story.hpp"
#include "support/server_process.hpp"
#include "view.hpp"

namespace {

using namespace demo;
using namespace std::chrono_literals;

struct outcome {
  std::optional<findings> found;
  std::exception_ptr failure;
  int signal = 0;

  [[nodiscard]] bool known() const { return found || failure; }
};

scene scene_of(const story& told, const greeting_service& service) {
  return {.title = told.chapter(), .pool = service.status(), .calls = service.calls()};
}

asio::awaitable<void> keep_showing(view& screen, const story& told, const greeting_service& service,
                                   const outcome& result) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (!result.known()) {
    screen.show(scene_of(told, service));
    timer.expires_after(100ms);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void print(const findings& found, const call_counts& calls) {
  const auto ms = [](auto duration) { return std::chrono::duration<double, std::milli>(duration).count(); };
  fmt::print("server killed     loss noticed after {:.1f} ms\n", ms(found.loss_noticed));
  fmt::print("server back       all connected after {:.0f} ms (backoff 300 .. 2000 ms)\n", ms(found.recovered));
  fmt::print("server replaced   all connections renewed after {:.1f} ms; calls failed: {}, turned away: {}\n",
             ms(found.replaced), found.calls_replacing.failed, found.calls_replacing.turned_away);
  fmt::print("calls in all      {} ok, {} failed with their connection, {} turned away; the slowest {:.0f} ms\n",
             calls.ok, calls.failed, calls.turned_away, ms(calls.slowest));
  fmt::print("threads           {}: 1 for the service, 1 of conn_grpc, 1 to start servers, the rest gRPC's own\n",
             found.threads);
}

/// Runs everything, on this thread, until the story is over or a signal ends it.
outcome play(asio::io_context& io, story& told, greeting_service& service, view& screen) {
  outcome result;
  asio::cancellation_signal interrupt;
  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code error, int signal) {
    if (error) return;
    result.signal = signal;
    interrupt.emit(asio::cancellation_type::terminal);
  });
  const auto over = [&](std::exception_ptr failure, findings found) {
    if (failure)
      result.failure = failure;
    else
      result.found = found;
    signals.cancel();
    service.stop();
  };
  asio::co_spawn(io, told.run(), asio::bind_cancellation_slot(interrupt.slot(), over));
  asio::co_spawn(io, keep_showing(screen, told, service, result), asio::detached);
  io.run();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: demo GREETER_SERVER\n", stderr);
    return 2;
  }
  const conn_grpc::test::reserved_port port;
  const bool live = on_terminal();
  auto screen = live ? live_view() : plain_view();

  asio::io_context io{1};
  greeting_service service(io, port.address(), !live);
  background_server server(argv[1], port.address());
  story told(service, server, [&] { screen->turn_to(scene_of(told, service)); });
  const outcome result = play(io, told, service, *screen);
  screen.reset();

  if (result.signal != 0) {
    std::fputs("demo: interrupted\n", stderr);
    return 128 + result.signal;
  }
  if (result.failure) {
    try {
      std::rethrow_exception(result.failure);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "demo: %s\n", e.what());
    }
    return 1;
  }
  print(*result.found, service.calls());
  return 0;
}
