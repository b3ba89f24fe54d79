// SPDX-License-Identifier: BSL-1.0
// What does a get cost?
//
// get GREETER_SERVER: nanoseconds per get, and the ratio to a limit that no pool can beat: one fetch_add, one modulo,
// one copy of a shared_ptr out of a vector that never changes. All ways but the typed one, which has a
// pool of its own, hand out the same connected channels. "the rotation alone" is what try_get_channel() is made of.
#include <conn_grpc/named.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/static_pool.hpp>
#include <conn_grpc/telemetry.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/rotation.hpp"
#include "other_pools.hpp"
#include "process.hpp"
#include "support.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

namespace {

namespace asio = boost::asio;
using namespace conn_grpc::bench;

constexpr int gets_per_round = 20'000;  // a millisecond at most, but for the strand: often nobody else wants the CPU
constexpr std::size_t rounds = 101;
constexpr double budget_ms = 16'000;  // per size, when the machine is busy and rounds have to be repeated

conn_grpc::pool_options typed_options;

struct typed_pool : conn_grpc::static_pool<typed_pool> {
  static conn_grpc::pool_options options() { return typed_options; }
};

/// A pool whose channels are all connected, and a typed one. Their io_context runs on a thread of its own, which then
/// sleeps, or runs the coroutines that are measured.
class connected_pool {
 public:
  connected_pool(const std::string& address, std::size_t size)
      : pool_(io_, {.name = "bench", .pool_size = size, .channel = {.address = address}}) {
    pool_.async_run(asio::detached);
    typed_options = {.pool_size = size, .channel = {.address = address}};
    typed_pool::async_run(io_, asio::detached);
    thread_ = std::jthread([this] { io_.run(); });
    const stopwatch waiting;
    while (pool_.status().current_size < size || typed_pool::status(io_).current_size < size) {
      if (waiting.ms() > 10'000) {
        stop();
        throw std::runtime_error("cannot connect to " + address);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  ~connected_pool() { stop(); }

  connected_pool(const connected_pool&) = delete;
  connected_pool& operator=(const connected_pool&) = delete;

  [[nodiscard]] conn_grpc::pool& pool() { return pool_; }
  [[nodiscard]] asio::io_context& context() { return io_; }

  /// Each of the channels once.
  [[nodiscard]] member_list members() {
    member_list all(pool_.status().current_size);
    for (auto& member : all) member = pool_.try_get_channel().value();
    return all;
  }

 private:
  void stop() {
    pool_.stop();
    typed_pool::stop(io_);
  }

  asio::io_context io_{1};
  conn_grpc::pool pool_;
  std::jthread thread_;
};

struct timing {
  double ms;
  bool disturbed;
};

/// Nanoseconds per get. Other processes may take the CPU away, or delay one of two threads until the other is alone:
/// such a round says nothing, and is repeated. If they never stop, it is not a number.
template <class Round>
double undisturbed(Round round) {
  for (int tries = 0; tries < 20; ++tries)
    if (const timing took = round(); !took.disturbed) return took.ms * 1e6 / gets_per_round;
  return std::numeric_limits<double>::quiet_NaN();
}

template <class Get>
timing on_threads(int threads, Get get) {
  struct share {
    double begin, end, preemptions;
  };
  const stopwatch watch;
  std::atomic<int> ready{0};
  const auto run = [&](share& mine) {
    ++ready;
    while (ready < threads) std::this_thread::yield();  // sleeping at a barrier, one would wake up late
    const double before = preemptions_of_this_thread();
    mine.begin = watch.ms();
    for (int i = 0; i < gets_per_round; ++i) keep(get());
    mine.end = watch.ms();
    mine.preemptions = preemptions_of_this_thread() - before;
  };
  std::vector<share> shares(static_cast<std::size_t>(threads));
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < shares.size(); ++i) others.emplace_back(run, std::ref(shares[i]));
    run(shares[0]);
  }
  const auto [first, last] = std::ranges::minmax(shares, {}, &share::begin);
  const double ms = std::ranges::max(shares, {}, &share::end).end - first.begin;
  const bool preempted = std::ranges::max(shares, {}, &share::preemptions).preemptions > 0;
  return {ms, preempted || last.begin - first.begin > ms / 10};
}

/// `co_await get()`, all in one coroutine.
template <class Get>
timing in_coroutine(asio::io_context& io, Get get) {
  timing took{};
  const auto repeat = [&]() -> asio::awaitable<void> {
    const double before = preemptions_of_this_thread();
    const stopwatch watch;
    for (int i = 0; i < gets_per_round; ++i) keep(co_await get());
    took = {watch.ms(), preemptions_of_this_thread() > before};
  };
  asio::co_spawn(io, repeat, asio::use_future).get();
  return took;
}

struct way {
  std::string name;
  std::size_t limit;  // the way that it is compared with
  std::function<double()> measure;
  samples ns{};
};

struct pools {
  explicit pools(connected_pool& all) : connected(all) {
    rotation.open();
    for (std::size_t slot = 0; auto& member : all.members()) rotation.insert(slot++, member);
  }

  connected_pool& connected;
  limit_pool limit{connected.members()};
  mutex_pool mutex{connected.members()};
  snapshot_pool snapshot{connected.members()};
  conn_grpc::core::rotation<conn_grpc::channel_ptr> rotation;
};

template <class Get>
std::function<double()> threads(int count, Get get) {
  return [=] { return undisturbed([&] { return on_threads(count, get); }); };
}

template <class Get>
std::function<double()> coroutine(asio::io_context& io, Get get) {
  return [&io, get] { return undisturbed([&] { return in_coroutine(io, get); }); };
}

/// With a handler attached to an event.
std::function<double()> attached(conn_grpc::event name, const std::function<double()>& measure) {
  return [=] {
    const auto& telemetry = conn_grpc::telemetry::global();
    telemetry->attach("bench", name, [](const conn_grpc::telemetry_event& e) { keep(e); });
    const double ns = measure();
    telemetry->detach("bench");
    return ns;
  };
}

std::vector<way> ways(pools& p) {
  auto& pool = p.connected.pool();
  const auto limit = [&p] { return p.limit.get(); };
  const auto mutex = [&p] { return p.mutex.get(); };
  const auto snapshot = [&p] { return p.snapshot.get(); };
  const auto rotation = [&p] { return p.rotation.next(); };
  const auto try_get = [&pool] { return pool.try_get_channel(); };
  const auto get = [&pool] { return pool.get_channel(); };
  auto& io = p.connected.context();
  using conn_grpc::event;
  return {
      {"1 thread: the limit", 0, threads(1, limit)},
      {"  the rotation alone", 0, threads(1, rotation)},
      {"  try_get_channel()", 0, threads(1, try_get)},
      {"  telemetry on channel_connected", 0, attached(event::channel_connected, threads(1, try_get))},
      {"  telemetry on pool_get_channel", 0, attached(event::pool_get_channel, threads(1, try_get))},
      {"  mutex per get", 0, threads(1, mutex)},
      {"  atomic<shared_ptr<snapshot>>", 0, threads(1, snapshot)},
      {"2 threads: the limit", 7, threads(2, limit)},
      {"  try_get_channel()", 7, threads(2, try_get)},
      {"  mutex per get", 7, threads(2, mutex)},
      {"  atomic<shared_ptr<snapshot>>", 7, threads(2, snapshot)},
      {"coroutine: co_await of the limit", 11, coroutine(io, [&p] { return awaited(p.limit); })},
      {"  co_await pool.get_channel()", 11, coroutine(io, get)},
      {"  hop to a strand and back", 11, coroutine(io, over_strand(p.limit, io))},
      {"again: co_await pool.get_channel()", 14, coroutine(io, get)},
      {"  found by name", 14, coroutine(io, [] { return conn_grpc::get_channel("bench"); })},
      {"  found by type", 14, coroutine(io, [] { return typed_pool::get_channel(); })},
  };
}

std::vector<way> measure(const std::string& address, std::size_t size) {
  connected_pool connected(address, size);
  pools candidates{connected};
  auto measured = ways(candidates);
  const stopwatch spent;
  for (std::size_t round = 0; round < rounds && spent.ms() < budget_ms; ++round)
    for (auto& w : measured) w.ns.push_back(w.measure());
  return measured;
}

[[gnu::noinline]] std::uintptr_t stack_address() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

void report_stack(const std::string& address) {
  connected_pool connected(address, 5);
  std::uintptr_t lowest = UINTPTR_MAX, highest = 0;
  const auto repeat = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 1'000'000; ++i) {
      keep(co_await connected.pool().get_channel());
      lowest = std::min(lowest, stack_address());
      highest = std::max(highest, stack_address());
    }
  };
  const double resident = static_cast<double>(conn_grpc::test::resident_kib());
  const auto before = usage::now();
  asio::co_spawn(connected.context(), repeat, asio::use_future).get();
  const auto used = usage::now() - before;
  std::printf(
      "\n1,000,000 co_await get_channel() in one coroutine: the stack moved by %zu bytes, the process grew by %.0f "
      "KiB, %.0f voluntary context switches\n",
      static_cast<std::size_t>(highest - lowest), static_cast<double>(conn_grpc::test::resident_kib()) - resident,
      used.voluntary_switches);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fputs("usage: get GREETER_SERVER\n", stderr);
    return 2;
  }
  raise_file_limit();
  warn_unless_optimized();
  const conn_grpc::test::server_process server(argv[1], "127.0.0.1:0");
  const std::string address = "127.0.0.1:" + std::to_string(server.port());

  const std::vector<std::size_t> sizes{1, 5, 1'000};
  std::vector<std::string> head{"ns per get, ratio to the limit"};
  std::vector<std::vector<std::string>> rows;
  for (const std::size_t size : sizes) {
    head.insert(head.end(), {"pool of " + std::to_string(size), "x"});
    const auto measured = measure(address, size);
    rows.resize(measured.size());
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const auto& [name, limit, how, ns] = measured[i];
      if (rows[i].empty()) rows[i].push_back(name);
      rows[i].insert(rows[i].end(), {number(median(ns), 1), number(median_ratio(ns, measured[limit].ns), 2)});
    }
  }
  table result(head);
  for (auto& row : rows) result.add(std::move(row));
  std::printf("medians of %zu rounds of %d gets\n\n", rounds, gets_per_round);
  result.print();
  report_stack(address);
} catch (const std::exception& e) {
  std::fprintf(stderr, "get: %s\n", e.what());
  return 1;
}
