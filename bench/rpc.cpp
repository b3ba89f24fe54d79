// SPDX-License-Identifier: BSL-1.0
// What does an RPC through the pool cost?
//
// rpc GREETER_SERVER: unary RPCs per second, and CPU time of this process per RPC, with
// 1, 64 and 1,000 in flight, on one connection and on five. Coroutines get a channel,
// make a stub and await `unary`, on an io_context with one thread. They are compared with
// gRPC's callback API, each callback of which begins the next RPC:
// - on gRPC's own thread, which no program that has an io_context can do;
// - by way of the io_context;
// - by way of a coroutine there, with the least code that awaits a callback. Such a
//   coroutine cannot be cancelled, and must not be destroyed meanwhile.
// `client.call` does the same with a lease, a stub that is made once, and retries. It is
// compared with the coroutines above, and with the least coroutine.
//
// The client and the server want both of two CPUs, so one round can be a third faster
// than the next. So there are many short rounds.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "main.hpp"
#include "process.hpp"
#include "rpc_load.hpp"
#include "support.hpp"

namespace {

using namespace conn_grpc::bench;
using std::chrono::milliseconds;

constexpr int loads[] = {1, 64, 1'000};
constexpr std::size_t rounds = 61;
constexpr double budget_ms = 80'000;  // per number of connections
constexpr milliseconds window(60);

struct way {
  const char* name;
  std::function<throughput(int in_flight)> measure;
  std::vector<samples> per_second{std::size(loads)}, cpu_us{std::size(loads)};
};

template <class Subject>
std::function<throughput(int)> measuring(Subject& subject) {
  return [&subject](int in_flight) {
    load all(in_flight, milliseconds(0));
    return measure(subject, all, window, [] {});
  };
}

void report(std::size_t channels, const std::vector<way>& ways) {
  std::vector<std::string> head{std::to_string(channels) + (channels == 1 ? " connection" : " connections")};
  for (const int in_flight : loads)
    head.insert(head.end(), {std::to_string(in_flight) + " in flight: RPC/s", "x", "CPU us", "x"});
  table result(head);
  for (const auto& w : ways) {
    std::vector<std::string> row{w.name};
    for (std::size_t i = 0; i < std::size(loads); ++i) {
      const auto& reference = ways.front();
      const double rate = median(w.per_second[i]), cpu = median(w.cpu_us[i]);
      const auto rate_ratio = typical_ratio(w.per_second[i], reference.per_second[i]);
      const auto cpu_ratio = typical_ratio(w.cpu_us[i], reference.cpu_us[i]);
      row.insert(row.end(), {number(rate, 0), number(rate_ratio, 2), number(cpu, 1), number(cpu_ratio, 2)});
      const std::string series = std::string(w.name) + ", " + head[0];
      record("rpc", series + ": RPC/s", loads[i], rate);
      record("rpc", series + ": RPC/s, ratio", loads[i], rate_ratio);
      record("rpc", series + ": CPU us per RPC", loads[i], cpu);
      record("rpc", series + ": CPU per RPC, ratio", loads[i], cpu_ratio);
    }
    result.add(std::move(row));
  }
  const auto compare = [&](const way& ours, const char* called, const way& other) {
    const std::string against = std::string(called) + " against " + other.name;
    std::vector<std::string> row{against};
    for (std::size_t i = 0; i < std::size(loads); ++i) {
      const auto rate = typical_ratio(ours.per_second[i], other.per_second[i]);
      const auto cpu = typical_ratio(ours.cpu_us[i], other.cpu_us[i]);
      row.insert(row.end(), {"", number(rate, 2), "", number(cpu, 2)});
      record("rpc", against + ", " + head[0] + ": RPC/s, ratio", loads[i], rate);
      record("rpc", against + ", " + head[0] + ": CPU per RPC, ratio", loads[i], cpu);
    }
    result.add(std::move(row));
  };
  const auto& by_hand = ways.back();
  const auto& by_client = ways[ways.size() - 2];
  for (std::size_t other = 1; other + 2 < ways.size(); ++other) compare(by_hand, "the last", ways[other]);
  compare(by_client, by_client.name, ways[ways.size() - 3]);
  compare(by_client, by_client.name, by_hand);
  std::printf("\n");
  result.print();
}

void compare(const std::string& address, std::size_t channels) {
  running_context context;
  plain_calls plain(address, channels, at_once);
  plain_calls posted(address, channels, posted_to(context.get()));
  awaited_calls awaited(context.get(), address, channels);
  pooled_calls<by_client> by_clients(address, channels);
  pooled_calls<by_hand> pooled(address, channels);
  std::vector<way> ways{
      {"callback API", measuring(plain)},
      {"by way of an io_context", measuring(posted)},
      {"by way of a coroutine", measuring(awaited)},
      {"client.call", measuring(by_clients)},
      {"get_channel(), stub, unary", measuring(pooled)},
  };
  for (const auto& w : ways) w.measure(64);  // buffers grow, threads start

  const stopwatch spent;
  for (std::size_t round = 0; round < rounds && spent.ms() < budget_ms; ++round) {
    for (std::size_t i = 0; i < std::size(loads); ++i) {
      for (std::size_t j = 0; j < ways.size(); ++j) {
        auto& w = ways[round % 2 == 0 ? j : ways.size() - 1 - j];  // in turn, so that no way is always the first
        const auto measured = w.measure(loads[i]);
        w.per_second[i].push_back(measured.per_second);
        w.cpu_us[i].push_back(measured.cpu_us);
      }
    }
  }
  report(channels, ways);
}

}  // namespace

int main(int argc, char** argv) {
  return run_benchmark_with_server("rpc", argc, argv, [](const std::string& address) {
    std::printf("medians of up to %zu rounds of at least %d ms; the server shares this machine's CPUs\n", rounds,
                static_cast<int>(window.count()));
    for (const std::size_t channels : {std::size_t{1}, std::size_t{5}}) compare(address, channels);
  });
}
