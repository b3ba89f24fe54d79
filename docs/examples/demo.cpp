// SPDX-License-Identifier: BSL-1.0
// demo GREETER_SERVER: a service calls three servers, which are restarted, frozen and killed. Exits with 0 if the
// service got over all of it. How to use the library is in greeting_service.cpp, what happens in story.cpp.
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
#include <vector>

#include "backend.hpp"
#include "greeting_service.hpp"
#include "story.hpp"
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

/// What the views show.
struct stage {
  backends& servers;
  greeting_service& service;
  story& told;
};

scene::backend scene_of(const backend& one, const greeting_service& service, const conn_grpc::pool_status& pool) {
  const auto& record = service.record_of(one.address());
  scene::backend result{.name = one.name(),
                        .address = one.address(),
                        .process = one.state(),
                        .rpcs = record.rpcs,
                        .last_loss = record.last_loss};
  for (const auto& channel : pool.channels)
    if (channel.address == result.address) result.channels.push_back(channel);
  return result;
}

scene scene_of(const stage& on) {
  const auto pool = on.service.status();
  scene result{.title = on.told.chapter(), .connected = pool.current_size, .expected = pool.expected_size};
  result.rpcs = on.service.rpcs();
  for (const backend& one : on.servers) {
    result.connections += on.service.record_of(one.address()).connections;
    result.backends.push_back(scene_of(one, on.service, pool));
  }
  return result;
}

asio::awaitable<void> keep_showing(view& screen, const stage& on, const outcome& result) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (!result.known()) {
    screen.show(scene_of(on));
    timer.expires_after(100ms);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void print(const findings& found, const stage& on) {
  const auto ms = [](auto duration) { return std::chrono::duration<double, std::milli>(duration).count(); };
  const auto line = [](const char* name, const std::string& measured, const rpc_counts& rpcs) {
    fmt::print("{:<17} {}; RPCs: {}\n", name, measured, rpcs.text());
  };
  const auto& [restarts, refresh, frozen, killed, drain, threads] = found;
  line("rolling restart", fmt::format("three backends in {:.1f} s", ms(restarts.back) / 1000), restarts.rpcs);
  line("refresh", fmt::format("all connections in {:.0f} ms", ms(refresh.back)), refresh.rpcs);
  line("frozen backend", fmt::format("left after {:.0f} ms, back after {:.0f} ms", ms(frozen.left), ms(frozen.back)),
       frozen.rpcs);
  line("killed backend", fmt::format("left after {:.1f} ms, back after {:.0f} ms", ms(killed.left), ms(killed.back)),
       killed.rpcs);
  line("drain", fmt::format("{:.0f} ms", ms(drain.back)), drain.rpcs);
  fmt::print("in all            RPCs: {}\n", on.service.rpcs().text());
  std::uint64_t made = 0;
  std::uint64_t attempts = 0;
  for (const backend& one : on.servers) {
    const auto& record = on.service.record_of(one.address());
    made += record.connections;
    attempts += record.connections + record.failed_attempts;
  }
  fmt::print("connections       {} made, in {} attempts\n", made, attempts);
  fmt::print("threads           {}: 1 for the service, 1 of conn_grpc, {} to start servers, the rest gRPC's own\n",
             threads, on.servers.size());
}

/// Runs everything, on this thread, until the story is over or a signal ends it.
outcome play(asio::io_context& io, const stage& on, view& screen) {
  outcome result;
  asio::cancellation_signal interrupt;
  asio::signal_set signals(io, SIGINT, SIGTERM, SIGHUP);
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
    on.service.stop();
  };
  asio::co_spawn(io, on.told.run(), asio::bind_cancellation_slot(interrupt.slot(), over));
  asio::co_spawn(io, keep_showing(screen, on, result), asio::detached);
  io.run();
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: demo GREETER_SERVER\n", stderr);
    return 2;
  }
  backends servers{backend("A", argv[1]), backend("B", argv[1]), backend("C", argv[1])};
  std::vector<std::string> addresses;
  for (const backend& one : servers) addresses.push_back(one.address());
  const bool live = on_terminal();
  auto screen = live ? live_view() : plain_view();

  asio::io_context io{1};
  greeting_service service(io, addresses, !live);
  story told(service, servers, [&] { screen->turn_to(scene_of({servers, service, told})); });
  const stage on{.servers = servers, .service = service, .told = told};
  const outcome result = play(io, on, *screen);
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
  print(*result.found, on);
  return 0;
}
