// SPDX-License-Identifier: BSL-1.0
// What do N channels cost, and how fast are loss and return?
//
// lifecycle GREETER_SERVER [--full]: conn_grpc beside the same number of plain gRPC channels, watched by hand. Each
// measurement is made in a process of its own, whose memory and threads are nobody else's, and by turns.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fork.hpp"
#include "lifecycle_subjects.hpp"
#include "process.hpp"
#include "support.hpp"
#include "support/server_process.hpp"

namespace {

using namespace conn_grpc::bench;
using conn_grpc::test::reserved_port;
using conn_grpc::test::server_process;

constexpr std::size_t runs = 5;
constexpr std::chrono::milliseconds window(400);  // per run; five of them are two seconds

struct measurement {
  double connect_ms = 0, loss_ms = 0, return_ms = 0, stop_ms = 0, drained_ms = 0;
  double threads = 0, rss_kib_per_channel = 0;
  double cpu_ms_before = 0, cpu_ms_idle = 0, cpu_ms_outage = 0;  // per second
  double switches_before = 0, switches_idle = 0;                 // per second
};

struct row {
  const char* what;
  double measurement::* value;
  int digits;
};

constexpr row rows[] = {
    {"start -> all connected, ms", &measurement::connect_ms, 1},
    {"SIGKILL -> all losses seen, ms", &measurement::loss_ms, 1},
    {"server back -> all connected, ms", &measurement::return_ms, 1},
    {"stop() returns (plain: channels dropped), ms", &measurement::stop_ms, 2},
    {"stop() -> every connection let go of, ms", &measurement::drained_ms, 1},
    {"threads in the process", &measurement::threads, 0},
    {"RSS per connected channel, KiB", &measurement::rss_kib_per_channel, 1},
    {"CPU before, ms/s", &measurement::cpu_ms_before, 2},
    {"CPU connected and idle, ms/s", &measurement::cpu_ms_idle, 2},
    {"CPU while the server is away, ms/s", &measurement::cpu_ms_outage, 0},
    {"voluntary switches before, /s", &measurement::switches_before, 1},
    {"voluntary switches idle, /s", &measurement::switches_idle, 1},
};

void expect(bool reached, const char* what) {
  if (!reached) throw std::runtime_error(std::string("timed out: ") + what);
}

/// Per second, of a process that is left alone.
usage watch_idly() {
  const auto before = usage::now();
  std::this_thread::sleep_for(window);
  return (usage::now() - before) / std::chrono::duration<double>(window).count();
}

template <class Subject>
measurement live_through(const std::string& executable, int n) {
  const reserved_port port;
  std::optional<server_process> server(std::in_place, executable, port.address());
  // With the last channel of a process gRPC 1.51 ends its threads, and waits up to a second for one that sleeps
  // (PosixEventEngine, ThreadPool::Quiesce). That hits plain channels in one run of six; it is not what is measured.
  const auto last_channel = grpc::CreateChannel(port.address(), grpc::InsecureChannelCredentials());
  {
    // What gRPC needs once per process is not what N channels cost.
    tally connected;
    const plain_channels warm_up(port.address(), 1, connected);
    expect(connected.wait_for(1), "warming up");
  }
  measurement m;
  const auto before = watch_idly();
  const double rss_before = proc_status("VmRSS");

  tally connected;
  const stopwatch connecting;
  auto subject = std::make_unique<Subject>(port.address(), n, connected);
  expect(connected.wait_for(n), "connecting");
  m.connect_ms = connecting.ms();
  std::this_thread::sleep_for(window / 2);  // what was allocated for connecting is freed, threads come to rest
  m.rss_kib_per_channel = (proc_status("VmRSS") - rss_before) / n;
  m.threads = proc_status("Threads");
  const auto idle = watch_idly();

  const stopwatch losing;
  server->kill();
  expect(connected.wait_for(0), "losing");
  m.loss_ms = losing.ms();
  const auto outage = watch_idly();

  server.emplace(executable, port.address());
  const stopwatch returning;
  expect(connected.wait_for(n), "returning");
  m.return_ms = returning.ms();

  const stopwatch stopping;
  subject->stop();
  m.stop_ms = stopping.ms();
  subject.reset();
  m.drained_ms = stopping.ms();

  m.cpu_ms_before = before.cpu_ms;
  m.cpu_ms_idle = idle.cpu_ms;
  m.cpu_ms_outage = outage.cpu_ms;
  m.switches_before = before.voluntary_switches;
  m.switches_idle = idle.voluntary_switches;
  return m;
}

samples values(const std::vector<measurement>& measured, double measurement::* value) {
  samples all;
  for (const auto& m : measured) all.push_back(m.*value);
  return all;
}

void report(int n, const std::vector<measurement>& library, const std::vector<measurement>& plain) {
  std::printf("\n");
  table result({"N = " + std::to_string(n) + ", medians of " + std::to_string(plain.size()) + " runs", "conn_grpc",
                "plain gRPC", "x"});
  for (const auto& [what, value, digits] : rows) {
    const auto ours = values(library, value), theirs = values(plain, value);
    result.add(
        {what, number(median(ours), digits), number(median(theirs), digits), number(median_ratio(ours, theirs), 2)});
  }
  result.print();
}

}  // namespace

int main(int argc, char** argv) try {
  const bool full = argc == 3 && std::string(argv[2]) == "--full";
  if (argc != 2 && !full) {
    std::fputs("usage: lifecycle GREETER_SERVER [--full]\n", stderr);
    return 2;
  }
  const std::string executable = argv[1];
  const std::size_t files = raise_file_limit();
  warn_unless_optimized();
  std::printf("Both try again %d ms after a failed attempt (conn_grpc: make_backoff; gRPC: its arguments, +-20 %%).\n",
              static_cast<int>(retry_delay.count()));

  std::vector<int> sizes{1, 100, 1'000};
  if (full) sizes.push_back(4'000);
  const stopwatch since_begin;
  const double budget_ms = full ? 300'000 : 70'000;
  for (const int n : sizes) {
    if (static_cast<std::size_t>(n) + 200 > files) {
      std::printf("\nN = %d: not measured, only %zu files may be open\n", n, files);
      continue;
    }
    std::vector<measurement> library, plain;
    while (plain.size() < runs && since_begin.ms() < budget_ms) {
      library.push_back(in_own_process([&] { return live_through<pooled_channels>(executable, n); }));
      plain.push_back(in_own_process([&] { return live_through<plain_channels>(executable, n); }));
    }
    report(n, library, plain);
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "lifecycle: %s\n", e.what());
  return 1;
}
