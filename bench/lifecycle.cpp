// SPDX-License-Identifier: BSL-1.0
// What do N channels cost, and how fast are loss and return?
//
// lifecycle GREETER_SERVER [--full]: conn_grpc beside the same number of plain gRPC
// channels, watched by hand. Each measurement is made in a process of its own, which has
// memory and threads of its own, and by turns. A process that keeps idle channels is
// compared with the same process just before: gRPC is up, and has nothing to do.
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fork.hpp"
#include "lifecycle_subjects.hpp"
#include "main.hpp"
#include "process.hpp"
#include "support.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

namespace {

using namespace conn_grpc::bench;
using conn_grpc::test::reserved_port;
using conn_grpc::test::server_process;

constexpr std::size_t fewest_runs = 5;
constexpr std::chrono::milliseconds idle_window(1000), outage_window(400);  // per run

/// A run with one channel is short, so other work of the machine shows in it. It can be
/// repeated more often.
constexpr std::size_t runs_of(int n) { return n == 1 ? 11 : n == 100 ? 9 : n == 1'000 ? 7 : fewest_runs; }

struct measurement {
  double connect_ms, loss_ms, return_ms, stop_ms, drained_ms;
  double threads, rss_kib_per_channel, rss_kib_once;
  usage before, idle, outage;  // per second
};

struct row {
  const char* what;
  int digits;
  double (*value)(const measurement&);
};

constexpr row medians[] = {
    {"start -> all connected, ms", 1, [](const measurement& m) { return m.connect_ms; }},
    {"SIGKILL -> all losses seen, ms", 1, [](const measurement& m) { return m.loss_ms; }},
    {"server back -> all connected, ms", 1, [](const measurement& m) { return m.return_ms; }},
    {"stop() returns (plain: channels dropped), ms", 2, [](const measurement& m) { return m.stop_ms; }},
    {"stop() -> every connection let go of, ms", 1, [](const measurement& m) { return m.drained_ms; }},
    {"threads in the process", 0, [](const measurement& m) { return m.threads; }},
    {"RSS per connected channel, KiB", 1, [](const measurement& m) { return m.rss_kib_per_channel; }},
    {"RSS of the first channel in a process, KiB", 0, [](const measurement& m) { return m.rss_kib_once; }},
};

constexpr row means[] = {
    {"CPU while the server is away, ms/s", 0, [](const measurement& m) { return m.outage.cpu_ms; }},
};

/// The same in a process that has no channels yet, and when its channels are connected
/// and idle.
struct idle_row {
  const char* what;
  int digits;
  double usage::* value;
};

constexpr idle_row idleness[] = {
    {"CPU, ms/s", 2, &usage::cpu_ms},
    {"voluntary context switches, /s", 1, &usage::voluntary_switches},
};

void expect(bool reached, const char* what) {
  if (!reached) throw std::runtime_error(std::string("timed out: ") + what);
}

/// The usage per second of a process that does nothing.
usage watch_idly(std::chrono::milliseconds window) {
  const auto before = usage::now();
  std::this_thread::sleep_for(window);
  return (usage::now() - before) / std::chrono::duration<double>(window).count();
}

/// Waits until hardly any CPU time is used: memory of the connecting is freed, and
/// threads have come to rest.
void settle() {
  constexpr std::chrono::milliseconds look(200);
  constexpr double at_rest_ms_per_s = 1;
  for (int tries = 0; tries < 20; ++tries)
    if (watch_idly(look).cpu_ms < at_rest_ms_per_s) return;
}

double resident_kib() { return static_cast<double>(conn_grpc::test::resident_kib()); }

/// Makes one channel first: what gRPC and conn_grpc need once per process is not what N
/// channels cost.
/// @return KiB that this channel takes, and leaves behind.
template <class Subject>
double warm_up(const std::string& address) {
  const double before = resident_kib();
  tally connected;
  const Subject one(address, 1, connected);
  expect(connected.wait_for(1), "warming up");
  return resident_kib() - before;
}

/// @param phase 0 to 1: the part of the time between two attempts after which the server
/// comes back. With one phase for all runs, a few channels would always find the server
/// just in time, or always just too late.
template <class Subject>
measurement live_through(const std::string& executable, int n, double phase) {
  const reserved_port port;
  std::optional<server_process> server(std::in_place, executable, port.address());
  // gRPC 1.51 ends its threads with the last channel of a process, and waits up to a
  // second for a thread that sleeps (PosixEventEngine, ThreadPool::Quiesce). That affects
  // plain channels in one run of six, and is not what is measured.
  const auto last_channel = grpc::CreateChannel(port.address(), grpc::InsecureChannelCredentials());
  measurement m{};
  warm_up<plain_channels>(port.address());
  m.rss_kib_once = warm_up<Subject>(port.address());
  settle();
  m.before = watch_idly(idle_window);
  const double rss_before = resident_kib();

  tally connected;
  const stopwatch connecting;
  auto subject = std::make_unique<Subject>(port.address(), n, connected);
  expect(connected.wait_for(n), "connecting");
  m.connect_ms = connecting.ms();
  settle();
  m.rss_kib_per_channel = (resident_kib() - rss_before) / n;
  m.threads = static_cast<double>(conn_grpc::test::threads());
  m.idle = watch_idly(idle_window);

  const stopwatch losing;
  server->kill();
  expect(connected.wait_for(0), "losing");
  m.loss_ms = losing.ms();
  m.outage = watch_idly(outage_window);
  std::this_thread::sleep_for(phase * retry_delay);

  server.emplace(executable, port.address());
  const stopwatch returning;
  expect(connected.wait_for(n), "returning");
  m.return_ms = returning.ms();

  const stopwatch stopping;
  subject->stop();
  m.stop_ms = stopping.ms();
  subject.reset();
  m.drained_ms = stopping.ms();
  return m;
}

samples values(const std::vector<measurement>& measured, const row& r) {
  samples all;
  for (const auto& m : measured) all.push_back(r.value(m));
  return all;
}

void report(int n, const std::vector<measurement>& library, const std::vector<measurement>& plain) {
  table result(
      {"N = " + std::to_string(n) + ", " + std::to_string(plain.size()) + " runs", "conn_grpc", "plain gRPC", "x"});
  const auto add = [&](const row& r, double ours, double theirs, typical ratio) {
    result.add({r.what, number(ours, r.digits), number(theirs, r.digits), number(ratio, 2)});
    record("lifecycle", std::string("conn_grpc: ") + r.what, n, ours);
    record("lifecycle", std::string("plain gRPC: ") + r.what, n, theirs);
    record("lifecycle", std::string("ratio: ") + r.what, n, ratio);
  };
  for (const auto& r : medians) {
    const auto ours = values(library, r), theirs = values(plain, r);
    add(r, median(ours), median(theirs), typical_ratio(ours, theirs));
  }
  for (const auto& r : means) {
    const double ours = mean(values(library, r)), theirs = mean(values(plain, r));
    add(r, ours, theirs, {.value = ours / theirs});
  }
  std::printf("\n");
  result.print();
}

/// Idle channels have to be compared with what an idle process does now and then. So the
/// table has the most that an idle process did.
void report_idleness(int n, const std::vector<measurement>& library, const std::vector<measurement>& plain) {
  table result({"N = " + std::to_string(n) + ", idle", "no channels", "at most", "conn_grpc", "plain gRPC"});
  for (const auto& r : idleness) {
    samples none, ours, theirs;
    for (const auto* measured : {&library, &plain})
      for (const auto& m : *measured) none.push_back(m.before.*r.value);
    for (const auto& m : library) ours.push_back(m.idle.*r.value);
    for (const auto& m : plain) theirs.push_back(m.idle.*r.value);
    const std::pair<const char*, double> cells[] = {{"no channels", mean(none)},
                                                    {"no channels, at most", std::ranges::max(none)},
                                                    {"conn_grpc", mean(ours)},
                                                    {"plain gRPC", mean(theirs)}};
    std::vector<std::string> line{r.what};
    for (const auto& [subject, value] : cells) {
      line.push_back(number(value, r.digits));
      record("lifecycle", std::string(subject) + ": idle, " + r.what, n, value);
    }
    result.add(std::move(line));
  }
  std::printf("\n");
  result.print();
}

void compare(const std::string& executable, int n, const stopwatch& since_begin, double budget_ms) {
  std::vector<measurement> library, plain;
  const std::size_t runs = runs_of(n);
  for (std::size_t run = 0; run < runs && since_begin.ms() < budget_ms; ++run) {
    const double phase = static_cast<double>(run) / static_cast<double>(runs);
    const auto ours = [&] {
      library.push_back(in_own_process([&] { return live_through<pooled_channels>(executable, n, phase); }));
    };
    const auto theirs = [&] {
      plain.push_back(in_own_process([&] { return live_through<plain_channels>(executable, n, phase); }));
    };
    try {
      run % 2 == 0 ? ours() : theirs();  // in turn, so that neither is always the first
      run % 2 == 0 ? theirs() : ours();
    } catch (const std::runtime_error& e) {
      // Other sizes keep their figures. On a busy machine many channels take too long.
      std::printf("\nN = %d: not measured, %s in run %zu\n", n, e.what(), run + 1);
      return;
    }
  }
  if (plain.empty()) {
    std::printf("\nN = %d: not measured, the time is up\n", n);
    return;
  }
  report(n, library, plain);
  report_idleness(n, library, plain);
}

}  // namespace

int main(int argc, char** argv) {
  return run_benchmark("lifecycle", argc, argv, "--full", [](const std::string& executable, bool full) {
    std::printf("Medians; of CPU time and context switches, means.\n");
    std::printf(
        "Both reconnect at once, then %d ms after each failed attempt (by make_backoff; by gRPC's arguments, +-20 "
        "%%).\n",
        static_cast<int>(retry_delay.count()));
    std::printf("What gRPC and conn_grpc need once per process is paid before, and has a row of its own.\n");

    std::vector<int> sizes{1, 100, 1'000};
    if (full) sizes.push_back(4'000);
    const stopwatch since_begin;
    const std::size_t files = raise_file_limit();
    for (const int n : sizes) {
      if (static_cast<std::size_t>(n) + 200 > files)
        std::printf("\nN = %d: not measured, only %zu files may be open\n", n, files);
      else
        compare(executable, n, since_begin, full ? 400'000 : 200'000);
    }
  });
}
