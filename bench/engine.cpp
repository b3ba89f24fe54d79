// SPDX-License-Identifier: BSL-1.0
// What does gRPC inside of the io_context cost, or save?
//
// engine GREETER_SERVER prints three tables:
// 1. Unary RPCs on five connections, with 1, 64 and 1,000 in flight: RPCs per second, CPU time
//    of the client per RPC, 99th percentile of the time of an RPC. The RPCs use a pool and
//    `unary`, or gRPC's callback API alone. Both run with gRPC's own engine and in an
//    event_engine_scope. The pool also runs in a scope with `busy_poll`.
// 2. One stream: messages per second, CPU time of the client per message.
// 3. 1,000 channels: the times until all have connected, until the last is lost with its server,
//    and until all are connected again; the memory, threads and CPU time of idle ones. In a
//    scope, one thread or two run the context.
//
// A process has one default engine, and what the first subject leaves behind would help or
// hurt the next. So each number comes from a process of its own. These run in turn, so that
// what slows the machine down slows all subjects down.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/event_engine.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "main.hpp"
#include "process.hpp"
#include "rpc_load.hpp"
#include "stream_load.hpp"
#include "support.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

namespace {

namespace asio = boost::asio;
using namespace conn_grpc::bench;
using std::chrono::milliseconds;

constexpr int loads[] = {1, 64, 1'000};
constexpr std::size_t connections = 5;
constexpr int most_rounds = 15;
constexpr double budget_ms = 150'000;
constexpr std::size_t stream_rounds = 9;
constexpr std::size_t life_rounds = 6;
constexpr milliseconds window(300);
constexpr std::size_t many = 1'000;

// ---- The process that is measured

/// Ends the process at once: its end is not measured.
[[noreturn]] void end_process() {
  std::fflush(stdout);
  ::_exit(0);
}

/// Constructs the scope that the end of the subject's name asks for: ", scope", ", busy scope",
/// or none.
class chosen_engine {
 public:
  chosen_engine(const std::string& subject, asio::io_context& io) {
    conn_grpc::event_engine_options options;
    const bool polls = subject.ends_with(", busy scope");
    if (polls) options.busy_poll = std::chrono::microseconds(100);
    if (polls || subject.ends_with(", scope")) scope_.emplace(io, options);
  }

 private:
  std::optional<conn_grpc::event_engine_scope> scope_;
};

/// A future that is set in that context. Else Asio would start threads of its own for that.
auto in(asio::io_context& io) { return asio::bind_executor(io.get_executor(), asio::use_future); }

/// Coroutines on that context, over the channels of a pool.
class pool_on {
 public:
  pool_on(asio::io_context& io, const std::string& address, std::size_t channels)
      : io_(io), pool_(io, {.name = "bench", .pool_size = channels, .channel = {.address = address}}) {
    pool_.async_run(asio::detached);
    pool_.async_connected(channels, std::chrono::seconds(20), in(io)).get();
  }
  ~pool_on() { pool_.stop(); }
  pool_on(const pool_on&) = delete;
  pool_on& operator=(const pool_on&) = delete;

  std::nullptr_t start(load& all) {
    return spawn_callers(io_, all, [&] { return callers_.call(all); });
  }

 private:
  asio::io_context& io_;
  conn_grpc::pool pool_;
  const by_hand callers_{pool_};
};

template <class Subject>
void measure_calls(Subject&& subject, int in_flight) {
  {
    load warm(in_flight, milliseconds(0));
    measure(subject, warm, window / 4, [] {});
  }
  load all(in_flight, milliseconds(0));
  const auto measured = measure(subject, all, window, [] {});
  std::printf("%f %f %f\n", measured.per_second, measured.cpu_us, measured.p99_us);
}

void measure_stream(asio::io_context& io, const stream_kind& kind, const std::string& address) {
  const auto stub = Greeter::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  const auto run = [&] { run_on(io, kind.run(*stub)); };
  run();
  samples per_second, cpu_us;
  for (int round = 0; round < 5; ++round) {
    const auto cost = cost_of(kind.messages, run);
    per_second.push_back(cost.per_second);
    cpu_us.push_back(cost.cpu_us);
  }
  std::printf("%f %f\n", median(per_second), median(cpu_us));
}

void measure_life(asio::io_context& io, const std::string& executable) {
  const auto kib_before = static_cast<double>(conn_grpc::test::resident_kib());
  const conn_grpc::test::reserved_port port;
  std::optional<conn_grpc::test::server_process> server(std::in_place, executable, port.address());
  conn_grpc::pool pool(io, {.name = "bench",
                            .pool_size = many,
                            .channel = {.address = port.address(),
                                        .backoff = {.min = milliseconds(50), .max = milliseconds(50)},
                                        .stable_after = milliseconds(1)}});
  const auto until_connected = [&] {
    const stopwatch watch;
    pool.async_connected(many, std::chrono::minutes(1), in(io)).get();
    return watch.ms();
  };
  const auto until_lost = [&] {
    const stopwatch watch;
    server->kill();
    while (pool.try_get_channel()) {
      if (watch.ms() > 60'000) throw std::runtime_error("the pool does not lose its channels");
      std::this_thread::sleep_for(milliseconds(1));
    }
    return watch.ms();
  };
  auto before = usage::now();
  pool.async_run(asio::detached);
  const double connect = until_connected();
  const double connect_cpu = (usage::now() - before).cpu_ms;
  const double kib = static_cast<double>(conn_grpc::test::resident_kib()) - kib_before;
  std::this_thread::sleep_for(std::chrono::seconds(1));  // work that follows the connecting is not idle
  before = usage::now();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const double idle_cpu = (usage::now() - before).cpu_ms / 2;
  const auto threads = static_cast<double>(conn_grpc::test::threads());
  const double lose = until_lost();
  server.emplace(executable, port.address());
  const double regain = until_connected();
  std::printf("%f %f %f %f %f %f %f\n", connect, lose, regain, connect_cpu, idle_cpu, kib / many, threads);
  pool.stop();
}

/// A stream is read and written by coroutines on the only thread of the context.
void run_stream(const std::string& subject, const std::string& address, int kind) {
  asio::io_context io;
  const chosen_engine engine(subject, io);
  measure_stream(io, stream_kinds[kind], address);
}

/// As in most services, the process's first thread runs the context. Another thread measures.
[[noreturn]] void run_on_threads(const std::string& subject, const std::string& where, int in_flight) {
  const bool has_two = subject.starts_with("life on two threads");
  asio::io_context io(has_two ? 2 : 1);
  asio::steady_timer never(io, asio::steady_timer::time_point::max());  // a service waits for something
  never.async_wait([](boost::system::error_code) {});
  std::thread([&] {
    const chosen_engine engine(subject, io);
    if (subject.starts_with("pool"))
      measure_calls(pool_on(io, where, connections), in_flight);
    else if (subject.starts_with("bare"))
      measure_calls(plain_calls(where, connections, at_once), in_flight);
    else
      measure_life(io, where);
    end_process();
  }).detach();
  if (has_two) std::thread([&] { io.run(); }).detach();
  io.run();
  std::abort();  // it waits for the timer
}

/// @param number Of RPCs in flight, or of the kind of stream.
[[noreturn]] void run_subject(const std::string& subject, const std::string& where, int number) {
  raise_file_limit();
  if (subject.starts_with("stream"))
    run_stream(subject, where, number);
  else
    run_on_threads(subject, where, number);
  end_process();
}

// ---- The process that measures

std::vector<double> numbers_of(const std::string& subject, const std::string& where, int number) {
  std::array<int, 2> pipe_ends{};
  if (::pipe(pipe_ends.data()) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe_ends[1], STDOUT_FILENO);
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
    ::execl("/proc/self/exe", "engine", "--subject", subject.c_str(), where.c_str(), std::to_string(number).c_str(),
            nullptr);
    ::_exit(127);
  }
  ::close(pipe_ends[1]);
  std::string text;
  std::array<char, 256> part{};
  for (ssize_t size = 0; (size = ::read(pipe_ends[0], part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(size));
  ::close(pipe_ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  std::vector<double> numbers;
  const char* at = text.c_str();
  for (char* end = nullptr;; at = end) {
    const double parsed = std::strtod(at, &end);
    if (end == at) break;
    numbers.push_back(parsed);
  }
  if (status != 0 || numbers.empty()) throw std::runtime_error(subject + " failed");
  return numbers;
}

constexpr const char* subjects[] = {"bare, own engine", "bare, scope", "pool, own engine", "pool, scope",
                                    "pool, busy scope"};

void compare_calls(const std::string& address, const stopwatch& spent) {
  // [subject][load]
  std::vector per_second(std::size(subjects), std::vector<samples>(std::size(loads)));
  auto cpu_us = per_second, p99_us = per_second;
  for (int round = 0; round < most_rounds && spent.ms() < budget_ms; ++round)
    for (std::size_t l = 0; l < std::size(loads); ++l)
      for (std::size_t i = 0; i < std::size(subjects); ++i) {
        const auto s = round % 2 == 0 ? i : std::size(subjects) - 1 - i;
        const auto numbers = numbers_of(subjects[s], address, loads[l]);
        per_second[s][l].push_back(numbers.at(0));
        cpu_us[s][l].push_back(numbers.at(1));
        p99_us[s][l].push_back(numbers.at(2));
      }
  std::vector<std::string> head{"5 connections"};
  for (const int in_flight : loads)
    head.insert(head.end(), {std::to_string(in_flight) + " in flight: RPC/s", "CPU us", "p99 us"});
  table result(head);
  for (std::size_t s = 0; s < std::size(subjects); ++s) {
    std::vector<std::string> row{subjects[s]};
    for (std::size_t l = 0; l < std::size(loads); ++l) {
      row.insert(row.end(), {number(median(per_second[s][l]), 0), number(median(cpu_us[s][l]), 1),
                             number(median(p99_us[s][l]), 0)});
      record("engine", std::string(subjects[s]) + ": RPC/s", loads[l], median(per_second[s][l]));
      record("engine", std::string(subjects[s]) + ": CPU us per RPC", loads[l], median(cpu_us[s][l]));
    }
    result.add(std::move(row));
  }
  const auto add_ratio = [&](const char* name, std::size_t of, std::size_t to) {
    std::vector<std::string> row{name};
    for (std::size_t l = 0; l < std::size(loads); ++l) {
      const auto rate = typical_ratio(per_second[of][l], per_second[to][l]);
      const auto cpu = typical_ratio(cpu_us[of][l], cpu_us[to][l]);
      const auto p99 = typical_ratio(p99_us[of][l], p99_us[to][l]);
      row.insert(row.end(), {number(rate, 2), number(cpu, 2), number(p99, 2)});
      record("engine", std::string(name) + ": RPC/s, ratio", loads[l], rate);
      record("engine", std::string(name) + ": CPU per RPC, ratio", loads[l], cpu);
      record("engine", std::string(name) + ": p99, ratio", loads[l], p99);
    }
    result.add(std::move(row));
  };
  add_ratio("pool: scope to own engine", 3, 2);
  add_ratio("pool in a scope to bare, own engine", 3, 0);
  add_ratio("bare: scope to own engine", 1, 0);
  add_ratio("pool: busy scope to own engine", 4, 2);
  add_ratio("pool in a busy scope to bare, own engine", 4, 0);
  std::printf("\n");
  result.print();
}

void compare_streams(const std::string& address) {
  table result(
      {"messages of a stream", "own engine: per second", "CPU us", "scope: per second", "CPU us", "x", "CPU x"});
  for (int k = 0; k < std::ssize(stream_kinds); ++k) {
    const std::string kind = stream_kinds[k].name;
    samples per_second[2], cpu_us[2];
    for (std::size_t round = 0; round < stream_rounds; ++round)
      for (const std::size_t i : {round % 2, 1 - round % 2}) {
        const auto numbers = numbers_of(i == 0 ? "stream, own engine" : "stream, scope", address, k);
        per_second[i].push_back(numbers.at(0));
        cpu_us[i].push_back(numbers.at(1));
      }
    const auto rate = typical_ratio(per_second[1], per_second[0]);
    const auto cpu = typical_ratio(cpu_us[1], cpu_us[0]);
    result.add({kind, number(median(per_second[0]), 0), number(median(cpu_us[0]), 1), number(median(per_second[1]), 0),
                number(median(cpu_us[1]), 1), number(rate, 2), number(cpu, 2)});
    record("engine", "stream, " + kind + ": scope to own engine", 1, rate);
    record("engine", "stream, " + kind + ": CPU, scope to own engine", 1, cpu);
  }
  std::printf("\n");
  result.print();
}

void compare_lives(const std::string& executable) {
  constexpr const char* ways[] = {"life, own engine", "life, scope", "life on two threads, scope"};
  constexpr const char* steps[] = {"connect, ms",
                                   "lose, ms",
                                   "regain, ms",
                                   "CPU of connecting, ms",
                                   "CPU when idle, ms/s",
                                   "memory of a channel, KiB",
                                   "threads"};
  // [way][step]
  std::vector measured(std::size(ways), std::vector<samples>(std::size(steps)));
  for (std::size_t round = 0; round < life_rounds; ++round)
    for (std::size_t i = 0; i < std::size(ways); ++i) {
      const auto way = (round + i) % std::size(ways);
      const auto numbers = numbers_of(ways[way], executable, 0);
      for (std::size_t s = 0; s < std::size(steps); ++s) measured[way][s].push_back(numbers.at(s));
    }
  table result({"1,000 channels", "own engine", "scope", "x", "scope, two threads", "x"});
  for (std::size_t s = 0; s < std::size(steps); ++s) {
    const auto& own = measured[0][s];
    std::vector<std::string> row{steps[s], number(median(own), 1)};
    for (std::size_t way = 1; way < std::size(ways); ++way) {
      const auto ratio = typical_ratio(measured[way][s], own);
      row.insert(row.end(), {number(median(measured[way][s]), 1), number(ratio, 2)});
      const auto series =
          std::string(way == 1 ? "1,000 channels in a scope: " : "1,000 channels in a scope, two threads: ");
      record("engine", series + steps[s], 0, median(measured[way][s]));
      record("engine", series + steps[s] + ", ratio", 0, ratio);
    }
    result.add(std::move(row));
  }
  std::printf("\n");
  result.print();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--subject") == 0) run_subject(argv[2], argv[3], std::atoi(argv[4]));
  return run_benchmark("engine", argc, argv, nullptr, [](const std::string& executable, bool) {
    const stopwatch spent;
    {
      const conn_grpc::test::server_process server(executable, "127.0.0.1:0");
      const auto address = "127.0.0.1:" + std::to_string(server.port());
      compare_calls(address, spent);
      compare_streams(address);
    }
    compare_lives(executable);
  });
}
