// SPDX-License-Identifier: BSL-1.0
// What do more connections buy?
//
// streams GREETER_SERVER: RPCs per second through pools of 1, 2, 5 and 10 channels. The
// server allows a number of RPCs at once per connection, and takes 20 ms for each. There
// are always twice as many callers as it allows. Those above it wait for a lease, because a
// server of gRPC 1.83 would refuse some of their RPCs. The ratio compares with one channel in
// the same round, times the number of channels. It falls where client and server use nine
// tenths of all CPUs: then the last column says so.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "main.hpp"
#include "process.hpp"
#include "rpc_load.hpp"
#include "support.hpp"
#include "support/server_process.hpp"

namespace {

namespace asio = boost::asio;
using namespace conn_grpc::bench;
using std::chrono::milliseconds;

constexpr std::size_t sizes[] = {1, 2, 5, 10};
constexpr std::size_t rounds = 9;
constexpr double budget_ms = 24'000;  // per limit
constexpr milliseconds server_takes(20), window(240);
constexpr double bound_at = 0.9;  // of all CPUs

/// Callers of `client::call` that wait until the pool has room for their RPC.
struct callers_in_turn {
  explicit callers_in_turn(conn_grpc::pool& from) : greets(from) {}
  conn_grpc::client<greeter> greets;

  asio::awaitable<void> call(load& all) const {
    while (!all.is_over()) {
      const stopwatch since;
      conn_grpc::test::HelloReply reply;
      const conn_grpc::call_options with_wait{.timeout = std::chrono::seconds(10)};
      all.answered(co_await greets.call(&greeter::Stub::async::SayHello, all.request(), reply, with_wait), since);
    }
  }
};

struct way {
  std::size_t channels;
  std::unique_ptr<pooled_calls<callers_in_turn>> calls;
  samples per_second{}, linear{};
  samples client{}, server{};  // CPUs
  samples used{};              // of all CPUs, by these two
};

void measure_once(way& w, int streams, const conn_grpc::test::server_process& server) {
  double server_ms[2] = {};
  double when_ms[2] = {};
  std::size_t end = 0;
  const stopwatch watch;
  load all(2 * streams * static_cast<int>(w.channels), server_takes);
  const auto measured = measure(*w.calls, all, window, [&] {
    server_ms[end] = cpu_ms_of(server.pid());
    when_ms[end++] = watch.ms();
  });
  w.per_second.push_back(measured.per_second);
  w.client.push_back(measured.cpu_us * measured.per_second / 1e6);
  w.server.push_back((server_ms[1] - server_ms[0]) / (when_ms[1] - when_ms[0]));
  w.used.push_back((w.client.back() + w.server.back()) / std::thread::hardware_concurrency());
}

void compare(const std::string& executable, int streams) {
  const conn_grpc::test::server_process server(executable, "127.0.0.1:0",
                                               {"--max-concurrent-streams", std::to_string(streams)});
  const std::string address = "127.0.0.1:" + std::to_string(server.port());
  std::vector<way> ways;
  for (const std::size_t channels : sizes)
    ways.push_back({channels, std::make_unique<pooled_calls<callers_in_turn>>(
                                  conn_grpc::pool_options{.pool_size = channels,
                                                          .channel = {.address = address},
                                                          .max_in_flight = static_cast<std::size_t>(streams)})});

  const stopwatch spent;
  for (std::size_t round = 0; round < rounds && spent.ms() < budget_ms; ++round) {
    for (auto& w : ways) measure_once(w, streams, server);
    for (auto& w : ways)
      w.linear.push_back(w.per_second.back() / (ways.front().per_second.back() * static_cast<double>(w.channels)));
  }

  table result({std::to_string(streams) + " RPCs per connection", "RPC/s", "of channels x one",
                "of what the server allows", "client CPUs", "server CPUs", "of all CPUs", ""});
  for (const auto& w : ways) {
    const double allowed = static_cast<double>(w.channels) * streams * 1e3 / static_cast<double>(server_takes.count());
    const double rate = median(w.per_second), used = median(w.used);
    const auto linear = typical_of(w.linear);
    result.add({std::to_string(w.channels) + (w.channels == 1 ? " channel" : " channels"), number(rate, 0),
                number(linear, 2), number(rate / allowed, 2), number(median(w.client), 2), number(median(w.server), 2),
                number(used * 100, 0) + " %", used >= bound_at ? "CPU-bound" : ""});
    const std::string series = std::to_string(streams) + " streams: ";
    const auto x = static_cast<double>(w.channels);
    record("streams", series + "RPC/s", x, rate);
    record("streams", series + "of channels x one", x, linear);
    record("streams", series + "of what the server allows", x, rate / allowed);
    record("streams", series + "of all CPUs", x, used);
  }
  std::printf("\n");
  result.print();
}

}  // namespace

int main(int argc, char** argv) {
  return run_benchmark("streams", argc, argv, nullptr, [](const std::string& executable, bool) {
    std::printf(
        "medians of up to %zu rounds of at least %d ms; the server takes %d ms per RPC, and shares this machine's "
        "CPUs\n",
        rounds, static_cast<int>(window.count()), static_cast<int>(server_takes.count()));
    for (const int streams : {10, 100}) compare(executable, streams);  // 100 is what most servers allow
  });
}
