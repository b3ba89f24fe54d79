// SPDX-License-Identifier: BSL-1.0
// What does a get cost?
//
// get GREETER_SERVER: nanoseconds per get, and the ratio to a limit. The limit is one
// fetch_add, one modulo, and one copy of a shared_ptr from a vector that never changes.
// All ways hand out the same connected channels, except the typed one, which has a pool
// of its own. try_get_channel() uses "the member set alone". The second table compares
// ways that are not next to each other in the first.
#include <conn_grpc/named.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/telemetry.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connected_pool.hpp"
#include "core/member_set.hpp"
#include "get_rounds.hpp"
#include "main.hpp"
#include "other_pools.hpp"
#include "process.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/member.hpp"
#include "runtime/pool_probe.hpp"
#include "support.hpp"
#include "support/sockets.hpp"

namespace {

namespace asio = boost::asio;
using namespace conn_grpc::bench;

constexpr std::size_t sizes[] = {1, 5, 1'000};
constexpr std::size_t rounds = 101;
constexpr double budget_ms = 60'000;  // for a busy machine, on which rounds have to be repeated

/// The other ways of a group are compared with its first way.
struct way {
  std::string group;
  std::string name;
  std::function<double()> measure;
  samples ns{};
};

/// `value` against `reference`, both "group, name".
struct comparison {
  const char* what;
  const char* value;
  const char* reference;
  double factor = 1;
};

constexpr comparison comparisons[] = {
    {"co_await of the limit against the limit on 1 thread", "coroutine, co_await of the limit", "1 thread, the limit"},
    {"co_await pool.get_channel() against the limit on 1 thread", "coroutine, co_await pool.get_channel()",
     "1 thread, the limit"},
    {"co_await pool.get_channel() against a hop to a strand and back", "coroutine, co_await pool.get_channel()",
     "coroutine, hop to a strand and back"},
    {"co_await pool.get_channel() on 2 threads against the limit on 2 threads",
     "coroutines on 2 threads, co_await pool.get_channel()", "2 threads, the limit"},
    {"try_get_channel(): what 2 threads get per second, against 1", "1 thread, try_get_channel()",
     "2 threads, try_get_channel()", 2},
    {"co_await pool.get_channel(): what 2 threads get per second, against 1", "coroutine, co_await pool.get_channel()",
     "coroutines on 2 threads, co_await pool.get_channel()", 2},
    {"the limit: what 2 threads get per second, against 1", "1 thread, the limit", "2 threads, the limit", 2},
    {"fetch_add alone: what 2 threads do per second, against gets of 1", "1 thread, try_get_channel()",
     "2 threads, its fetch_add alone", 2},
};

using conn_grpc::runtime::channel_identity;
using conn_grpc::runtime::if_none;
using conn_grpc::runtime::member;

std::shared_ptr<const channel_identity> identity_of(std::size_t slot) {
  return std::make_shared<const channel_identity>(channel_identity{.slot = slot, .name = {}, .address = {}});
}

/// The picker of a pool, and what it would be if the library had no telemetry. Not
/// inlined, as in the library.
template <class Probe>
class bare_picker {
 public:
  explicit bare_picker(const member_list& channels)
      : picker_(options_, {}, [] { return std::weak_ptr<conn_grpc::runtime::lease_observer>(); }, {}) {
    picker_.open();
    for (std::size_t slot = 0; slot < channels.size(); ++slot)
      picker_.publish(picker_.leases().make_member(identity_of(slot), 0, channels[slot]));
  }

  [[gnu::noinline]] boost::system::result<conn_grpc::channel_ptr> next() {
    return picker_.is_observed() ? picker_.template pick_observed<if_none::fail>()
                                 : picker_.template pick<if_none::fail>();
  }

 private:
  const conn_grpc::runtime::checked_pool_options options_{.name = {},
                                                          .type_key = {},
                                                          .label = {},
                                                          .address = {},
                                                          .status_interval = {},
                                                          .max_restarts = 0,
                                                          .restart_window = {},
                                                          .backoff = {},
                                                          .make_backoff = {},
                                                          .attempt_limit = {},
                                                          .stable_after = {},
                                                          .on_connect = {},
                                                          .on_disconnect = {},
                                                          .telemetry = conn_grpc::telemetry::global(),
                                                          .logger = {}};
  conn_grpc::runtime::channel_picker<std::chrono::steady_clock, Probe> picker_;
};

struct no_probe {
  explicit no_probe(const conn_grpc::runtime::checked_pool_options&) {}
  static constexpr bool wants_gets() { return false; }
  static void report_get(std::chrono::nanoseconds, const conn_grpc::runtime::channel_identity*, std::string_view) {}
  static void report_size(std::size_t, std::size_t) {}
};

/// All ways to get from pools of one size.
struct pools {
  pools(const std::string& address, std::size_t size) : connected(address, size) {
    members.open();
    const auto ledger = std::make_shared<conn_grpc::runtime::lease_ledger>();
    for (std::size_t slot = 0; slot < connected.members().size(); ++slot)
      members.insert(std::make_shared<const member>(identity_of(slot), 0, connected.members()[slot], ledger,
                                                    std::weak_ptr<conn_grpc::runtime::lease_observer>()));
  }

  connected_pool connected;
  limit_pool limit{connected.members()};
  mutex_pool mutex{connected.members()};
  snapshot_pool snapshot{connected.members()};
  conn_grpc::core::member_set<member> members;
  bare_picker<conn_grpc::runtime::pool_probe> with_telemetry{connected.members()};
  bare_picker<no_probe> without_telemetry{connected.members()};
  std::size_t turn = 0;
};

/// Measures with a handler attached to an event.
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
  const auto ticket = [&p] { return p.limit.take_turn(); };
  const auto mutex = [&p] { return p.mutex.get(); };
  const auto snapshot = [&p] { return p.snapshot.get(); };
  const auto members = [&p] { return p.members.pick(); };
  const auto with_telemetry = [&p] { return p.with_telemetry.next(); };
  const auto without_telemetry = [&p] { return p.without_telemetry.next(); };
  const auto try_get = [&pool] { return pool.try_get_channel(); };
  const auto awaited_limit = [&p] { return awaited(p.limit); };
  const auto get = [&pool] { return pool.get_channel(); };
  const auto in_turn = [&p] { return conn_grpc::get_channel(p.turn++ % 2 == 0 ? "bench" : "typed_pool"); };
  auto& io = p.connected.context();
  const std::vector<asio::any_io_executor> one{io.get_executor()}, two{one[0], p.connected.other_thread()};
  using conn_grpc::event;
  return {
      {"1 thread", "the limit", threads(1, limit)},
      {"1 thread", "the member set alone", threads(1, members)},
      {"1 thread", "try_get_channel()", threads(1, try_get)},
      {"1 thread", "mutex per get", threads(1, mutex)},
      {"1 thread", "atomic<shared_ptr<snapshot>>", threads(1, snapshot)},
      {"telemetry", "no telemetry compiled in", threads(1, without_telemetry)},
      {"telemetry", "attached to nothing", threads(1, with_telemetry)},
      {"telemetry", "to another event", attached(event::channel_connected, threads(1, with_telemetry))},
      {"telemetry", "one handler", attached(event::pool_get_channel, threads(1, with_telemetry))},
      {"2 threads", "the limit", threads(2, limit)},
      {"2 threads", "its fetch_add alone", threads(2, ticket)},
      {"2 threads", "try_get_channel()", threads(2, try_get)},
      {"2 threads", "mutex per get", threads(2, mutex)},
      {"2 threads", "atomic<shared_ptr<snapshot>>", threads(2, snapshot)},
      {"coroutine", "co_await of the limit", coroutines(one, awaited_limit)},
      {"coroutine", "co_await pool.get_channel()", coroutines(one, get)},
      {"coroutine", "hop to a strand and back", coroutines(one, over_strand(p.limit, io))},
      {"coroutines on 2 threads", "co_await of the limit", coroutines(two, awaited_limit)},
      {"coroutines on 2 threads", "co_await pool.get_channel()", coroutines(two, get)},
      {"again", "co_await pool.get_channel()", coroutines(one, get)},
      {"again", "found by name", coroutines(one, [] { return conn_grpc::get_channel("bench"); })},
      {"again", "two found by name, in turn", coroutines(one, in_turn)},
      {"again", "found by type", coroutines(one, [] { return typed_pool::get_channel(); })},
  };
}

std::string series_of(const way& w) { return w.group + ", " + w.name; }

const way& first_of_group(const std::vector<way>& all, const way& w) {
  return *std::ranges::find(all, w.group, &way::group);
}

/// The ways of each size; all sizes have the same ways. Every way is measured with all
/// sizes, one after the other.
std::vector<std::vector<way>> measure(const std::string& address) {
  std::vector<std::unique_ptr<pools>> candidates;
  std::vector<std::vector<way>> measured;
  for (const std::size_t size : sizes) {
    candidates.push_back(std::make_unique<pools>(address, size));
    measured.push_back(ways(*candidates.back()));
  }
  const stopwatch spent;
  for (std::size_t round = 0; round < rounds && spent.ms() < budget_ms; ++round)
    for (std::size_t i = 0; i < measured.front().size(); ++i)
      for (auto& of_size : measured) of_size[i].ns.push_back(of_size[i].measure());
  for (auto& of_size : measured)
    for (auto& w : of_size) w.measure = nullptr;  // it holds a strand of a context that will be destroyed
  return measured;
}

void report_ways(const std::vector<std::vector<way>>& measured) {
  std::vector<std::string> head{"ns per get, ratio to the limit"};
  for (const std::size_t size : sizes) {
    head.insert(head.end(), {"pool of " + std::to_string(size), "x"});
    if (size != sizes[0]) head.push_back("vs " + std::to_string(sizes[0]));
  }
  table result(head);
  for (std::size_t i = 0; i < measured.front().size(); ++i) {
    const auto& smallest = measured.front()[i];
    const bool first = &first_of_group(measured.front(), smallest) == &smallest;
    std::vector<std::string> row{(first ? smallest.group + ": " : "  ") + smallest.name};
    for (std::size_t s = 0; s < std::size(sizes); ++s) {
      const auto& w = measured[s][i];
      const auto size = static_cast<double>(sizes[s]);
      const double ns = median(w.ns);
      const auto ratio = typical_ratio(w.ns, first_of_group(measured[s], w).ns);
      const auto growth = typical_ratio(w.ns, smallest.ns);
      row.insert(row.end(), {number(ns, 1), number(ratio, 2)});
      if (s > 0) row.push_back(number(growth, 2));
      record("get", series_of(w) + ": ns", size, ns);
      record("get", series_of(w) + ": ratio", size, ratio);
      record("get", series_of(w) + ": ratio to pool of 1", size, growth);
    }
    result.add(std::move(row));
  }
  result.print();
}

const samples& ns_of(const std::vector<way>& ways, const char* series) {
  const auto found = std::ranges::find(ways, series, series_of);
  if (found == ways.end()) throw std::logic_error(std::string("not measured: ") + series);
  return found->ns;
}

void report_comparisons(const std::vector<std::vector<way>>& measured) {
  std::vector<std::string> head{"ratio"};
  for (const std::size_t size : sizes) head.push_back("pool of " + std::to_string(size));
  table result(head);
  for (const auto& c : comparisons) {
    std::vector<std::string> row{c.what};
    for (std::size_t s = 0; s < std::size(sizes); ++s) {
      auto ratio = typical_ratio(ns_of(measured[s], c.value), ns_of(measured[s], c.reference));
      ratio = {.value = c.factor * ratio.value, .spread = c.factor * ratio.spread};
      row.push_back(number(ratio, 2));
      record("get", c.what, static_cast<double>(sizes[s]), ratio);
    }
    result.add(std::move(row));
  }
  result.print();
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

int main(int argc, char** argv) {
  return run_benchmark_with_server("get", argc, argv, [](const std::string& address) {
    const auto measured = measure(address);
    std::printf("medians of %zu rounds of %d gets per thread\n\n", measured.front().front().ns.size(), gets_per_round);
    report_ways(measured);
    std::printf("\n");
    report_comparisons(measured);
    report_stack(address);
  });
}
