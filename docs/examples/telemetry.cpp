// SPDX-License-Identifier: BSL-1.0
// telemetry GREETER_SERVER: the snippets of docs/telemetry.md, and a test of each.
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

using namespace examples;
using namespace std::chrono_literals;

//[gauge
/// Counts the connected channels of all pools and channels that report to `source`.
std::shared_ptr<const std::atomic<int>> count_connected(conn_grpc::telemetry& source) {
  using conn_grpc::event;
  auto connected = std::make_shared<std::atomic<int>>(0);
  source.attach_many(
      "count_connected", std::array{event::channel_connected, event::channel_disconnected},
      [connected](const conn_grpc::telemetry_event& e) { *connected += e.name == event::channel_connected ? 1 : -1; });
  return connected;
}
//]

//[export
/// Logs how long connecting took, why it failed, and, each time a pool reports its size, how long gets took since.
void export_latency(conn_grpc::telemetry& source, std::shared_ptr<spdlog::logger> log) {
  using conn_grpc::event;
  using milliseconds = std::chrono::duration<double, std::milli>;
  struct gets {
    std::atomic<std::uint64_t> count = 0;
    std::atomic<std::uint64_t> nanoseconds = 0;
  };
  const auto write = [log, seen = std::make_shared<gets>()](const conn_grpc::telemetry_event& e) {
    switch (e.name) {
      case event::channel_connected:
        return log->info("{} connected in {:.1f} ms", e.channel_name, milliseconds(e.duration).count());
      case event::channel_connection_failed:
        return log->warn("{} failed after {:.1f} ms: {}", e.channel_name, milliseconds(e.duration).count(), e.error);
      case event::channel_disconnected:
        return log->info("{} was up for {:.0f} ms", e.channel_name, milliseconds(e.duration).count());
      case event::pool_get_channel:
        seen->count += 1;
        seen->nanoseconds += static_cast<std::uint64_t>(e.duration.count());
        return;
      case event::pool_status: {
        const auto count = seen->count.exchange(0);
        const auto mean = count == 0 ? 0 : seen->nanoseconds.exchange(0) / count;
        return log->info("{}: {} of {} connected, {} gets of {} ns", e.pool_name, e.current_size, e.expected_size,
                         count, mean);
      }
      case event::channel_get:  // a pool's get is pool_get_channel, too
      case event::call_ended:
        return;  // not attached
    }
  };
  source.attach_many("export_latency",
                     std::array{event::channel_connected, event::channel_connection_failed, event::channel_disconnected,
                                event::pool_get_channel, event::pool_status},
                     write);
}
//]

//[losses
/// Counts the connections that were lost. A connection that `stop()` released is none.
std::shared_ptr<const std::atomic<int>> count_losses(conn_grpc::telemetry& source) {
  auto losses = std::make_shared<std::atomic<int>>(0);
  source.attach("count_losses", conn_grpc::event::channel_disconnected,
                [losses](const conn_grpc::telemetry_event& e) { *losses += e.error == "stopped" ? 0 : 1; });
  return losses;
}
//]

//[calls
/// Counts the calls of all clients that report to `source`, by method and status code.
struct call_counts {
  std::mutex mutex;
  std::map<std::pair<std::string, grpc::StatusCode>, int> counts;
};
std::shared_ptr<call_counts> count_calls(conn_grpc::telemetry& source) {
  auto seen = std::make_shared<call_counts>();
  source.attach("count_calls", conn_grpc::event::call_ended, [seen](const conn_grpc::telemetry_event& e) {
    const std::lock_guard lock(seen->mutex);
    ++seen->counts[{std::string(e.method), e.status_code}];
  });
  return seen;
}
//]

//[page
/// Calls `page` when a pool is short of connections in three reports in a row, once per shortage. The first report of a
/// pool says that none is connected yet; and a single one may fall between a loss and the reconnect.
void page_when_short(conn_grpc::telemetry& of_one_pool, std::function<void(const std::string&)> page) {
  auto check = [page = std::move(page), reports = 0](const conn_grpc::telemetry_event& e) mutable {
    reports = e.current_size < e.expected_size ? reports + 1 : 0;
    if (reports == 3) page(fmt::format("{}: {} of {} connected", e.pool_name, e.current_size, e.expected_size));
  };
  of_one_pool.attach("page_when_short", conn_grpc::event::pool_status, std::move(check));
}
//]

// A server that is there, goes, and comes again; what `connected` says meanwhile.
asio::awaitable<void> live_through(conn_grpc::pool& pool, connection_news& news, const std::string& executable,
                                   const std::string& address, const std::atomic<int>& connected) {
  {
    const conn_grpc::test::server_process server(executable, address);
    co_await news.until([&] { return connected == 2; });
    (void)co_await pool.get_channel();
  }
  co_await news.until([&] { return connected == 0; });
}

void live_through_an_outage(const std::string& executable) {
  const conn_grpc::test::reserved_port port;
  std::ostringstream log;
  const auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
  asio::io_context io;
  //[global
  const auto connected = count_connected(*conn_grpc::telemetry::global());
  export_latency(*conn_grpc::telemetry::global(), logger);
  //]
  const auto losses = count_losses(*conn_grpc::telemetry::global());
  connection_news news(io);
  conn_grpc::pool pool(io, {.name = "greeter",
                            .pool_size = 2,
                            .channel = {.address = port.address(), .backoff = {.min = 20ms, .max = 20ms}},
                            .status_interval = 10ms});
  pool.async_run(asio::detached);
  const auto body = [&]() -> asio::awaitable<void> {
    co_await live_through(pool, news, executable, port.address(), *connected);
    pool.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();
  for (const auto* line : {"greeter/0 connected in ", "greeter/1 was up for ", "greeter: 0 of 2 connected, 0 gets"})
    require(log.str().find(line) != std::string::npos);
  require(*losses == 2);
  conn_grpc::telemetry::global()->detach("count_connected");
  conn_grpc::telemetry::global()->detach("count_losses");
  conn_grpc::telemetry::global()->detach("export_latency");
}

void stop_while_connected(const std::string& executable) {
  using conn_grpc::event;
  const conn_grpc::test::reserved_port port;
  const conn_grpc::test::server_process server(executable, port.address());
  const auto events = std::make_shared<conn_grpc::telemetry>();
  const auto losses = count_losses(*events);
  int disconnected = 0;
  asio::io_context io;
  conn_grpc::pool pool(io, {.name = "greeter", .channel = {.address = port.address(), .telemetry = events}});
  events->attach("stop", event::channel_connected, [&](const conn_grpc::telemetry_event&) { pool.stop(); });
  events->attach("count", event::channel_disconnected, [&](const conn_grpc::telemetry_event&) { ++disconnected; });
  pool.async_run(asio::detached);
  io.run();
  require(disconnected == 1);
  require(*losses == 0);
}

void call_before_and_after_the_start(const std::string& executable) {
  using conn_grpc::test::Greeter;
  const conn_grpc::test::reserved_port port;
  const conn_grpc::test::server_process server(executable, port.address());
  const auto events = std::make_shared<conn_grpc::telemetry>();
  const auto calls = count_calls(*events);
  asio::io_context io;
  conn_grpc::pool pool(io, {.name = "greeter", .channel = {.address = port.address(), .telemetry = events}});
  const auto body = [&]() -> asio::awaitable<void> {
    const conn_grpc::client<Greeter> greeter(pool);
    const conn_grpc::test::HelloRequest request;
    conn_grpc::test::HelloReply reply;
    const auto early = co_await greeter.call(&Greeter::Stub::async::SayHello, request, reply);
    require(early.error_code() == grpc::StatusCode::UNAVAILABLE);
    pool.async_run(asio::detached);
    for (int i = 0; i < 2; ++i) {
      const auto status = co_await greeter.call(&Greeter::Stub::async::SayHello, request, reply, {.timeout = 20s});
      require(status.ok());
    }
    pool.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();
  const std::string method = "/conn_grpc.test.Greeter/SayHello";
  require(calls->counts[{method, grpc::StatusCode::UNAVAILABLE}] == 1);
  require(calls->counts[{method, grpc::StatusCode::OK}] == 2);
  require(calls->counts.size() == 2);
}

void page_somebody() {
  const conn_grpc::test::reserved_port nobody_there;
  const auto address = nobody_there.address();
  asio::io_context io;
  std::function<void()> got_up;
  int paged = 0;
  const auto call_the_engineer = [&](const std::string& why) {
    require(why == "greeter: 0 of 5 connected");
    ++paged;
    got_up();
  };
  //[own
  conn_grpc::pool_options options{.name = "greeter", .pool_size = 5, .channel = {.address = address}};
  options.channel.telemetry = std::make_shared<conn_grpc::telemetry>();
  options.status_interval = 10ms;  // 5 s, if you leave it out
  page_when_short(*options.channel.telemetry, call_the_engineer);
  conn_grpc::pool pool(io, options);
  //]
  got_up = [&] { pool.stop(); };
  pool.async_run(asio::detached);
  io.run();
  require(paged == 1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  end_within_a_minute();
  live_through_an_outage(argv[1]);
  stop_while_connected(argv[1]);
  call_before_and_after_the_start(argv[1]);
  page_somebody();
}
