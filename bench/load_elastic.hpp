// SPDX-License-Identifier: BSL-1.0
// A pool that follows its load, beside one of the size that the load needs.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process.hpp"
#include "rpc_load.hpp"
#include "support.hpp"
#include "support/server_process.hpp"

namespace conn_grpc::bench {

/// A server with a limit of RPCs per connection, and a load that needs several connections.
struct elastic_case {
  int streams;  // RPCs at once on each connection
  int callers;
  std::size_t most;  // channels

  [[nodiscard]] std::string name() const {
    return std::to_string(streams) + " streams, " + std::to_string(callers) + " callers";
  }
};

/// Records when the size of a pool changes, until the pool has a size of 1 again and its
/// load is over.
template <class Calls>
class size_watch {
 public:
  struct change {
    double ms;
    std::size_t expected;
    std::size_t connected;
  };

  explicit size_watch(const Calls& calls) : calls_(calls) {}

  void load_is_over() {
    const std::lock_guard lock(mutex_);
    over_ms_ = watch_.ms();
  }
  /// Returns the time from the end of the load until the pool had one channel. Not a
  /// number if that takes longer than 40 s.
  [[nodiscard]] double ms_until_small() {
    while (watch_.ms() < over_ms_ + 40'000 && std::isnan(small_ms()))
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return small_ms() - over_ms_;
  }
  [[nodiscard]] std::vector<change> changes() const {
    const std::lock_guard lock(mutex_);
    return changes_;
  }
  /// When so many channels were connected for the first time.
  [[nodiscard]] double ms_until_connected(std::size_t size) const {
    for (const auto& each : changes())
      if (each.connected >= size) return each.ms;
    return std::nan("");
  }

 private:
  void look() {
    const auto status = calls_.status();
    const double now = watch_.ms();
    const std::lock_guard lock(mutex_);
    const bool is_new = changes_.empty() || changes_.back().expected != status.expected_size ||
                        changes_.back().connected != status.current_size;
    if (is_new) changes_.push_back({now, status.expected_size, status.current_size});
    if (!std::isnan(over_ms_) && std::isnan(small_ms_) && status.current_size == 1) small_ms_ = now;
  }
  [[nodiscard]] double small_ms() const {
    const std::lock_guard lock(mutex_);
    return small_ms_;
  }

  const Calls& calls_;
  const stopwatch watch_;
  mutable std::mutex mutex_;
  std::vector<change> changes_;
  double over_ms_ = std::nan("");
  double small_ms_ = std::nan("");
  std::jthread looks_{[this](const std::stop_token& stop) {
    for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds(5))) look();
  }};
};

/// How many answers there were at which time.
class progress {
 public:
  void watch(const load& all, double until_ms) {
    for (; watch_.ms() < until_ms; std::this_thread::sleep_for(std::chrono::milliseconds(5)))
      seen_.emplace_back(watch_.ms(), all.answers());
    seen_.emplace_back(watch_.ms(), all.answers());
  }

  /// Answers per second from then on.
  [[nodiscard]] double rate_from(double ms) const {
    std::size_t i = 0;
    while (i + 1 < seen_.size() && seen_[i].first < ms) ++i;
    return rate(i, seen_.size() - 1);
  }
  /// When the first time of a fifth of a second began in which there were as many answers
  /// per second.
  [[nodiscard]] double ms_until(double per_second) const {
    for (std::size_t i = 0, j = 0; i < seen_.size(); ++i) {
      while (j < seen_.size() && seen_[j].first < seen_[i].first + 200) ++j;
      if (j < seen_.size() && rate(i, j) >= per_second) return seen_[i].first;
    }
    return std::nan("");
  }

 private:
  [[nodiscard]] double rate(std::size_t from, std::size_t to) const {
    return (seen_[to].second - seen_[from].second) / (seen_[to].first - seen_[from].first) * 1e3;
  }

  const stopwatch watch_;
  std::vector<std::pair<double, double>> seen_;  // ms, answers
};

/// Pools of both kinds in turn, each under the load for four seconds.
class elastic_comparison {
 public:
  elastic_comparison(const std::string& executable, elastic_case measured)
      : case_(measured),
        server_(executable, "127.0.0.1:0", {"--max-concurrent-streams", std::to_string(case_.streams)}) {}

  void measure_once() {
    auto fixed = std::make_unique<calls>(options(case_.most));
    const double before = cpu_ms_of(server_.pid()) + usage::now().cpu_ms;
    const auto reference = under_load(*fixed);
    const double cpu_ms = cpu_ms_of(server_.pid()) + usage::now().cpu_ms - before;
    used_.push_back(cpu_ms / load_ms / std::thread::hardware_concurrency());
    fixed.reset();
    grown_.push_back(std::make_unique<calls>(options(1)));
    watches_.push_back(std::make_unique<watch>(*grown_.back()));
    const auto grown = under_load(*grown_.back());
    watches_.back()->load_is_over();

    fixed_.push_back(reference.rate_from(settled_ms));
    elastic_.push_back(grown.rate_from(settled_ms));
    reached_.push_back(grown.ms_until(0.95 * fixed_.back()));
    fixed_reached_.push_back(reference.ms_until(0.95 * fixed_.back()));
  }

  void report(table& result) {
    samples small;
    samples connected;
    for (const auto& each : watches_) {
      small.push_back(each->ms_until_small());
      connected.push_back(each->ms_until_connected(case_.most));
    }
    const auto ratio = typical_ratio(elastic_, fixed_);
    result.add({case_.name() + ", at most " + std::to_string(case_.most), number(median(fixed_), 0),
                number(median(elastic_), 0), number(ratio, 2), number(median(connected), 0),
                number(median(reached_), 0), number(median(fixed_reached_), 0), number(median(small) / 1e3, 1),
                number(median(used_) * 100, 0) + " %"});
    const auto put = [&](const std::string& what, typical of) {
      record("load", "elastic, " + case_.name() + ": " + what, static_cast<double>(case_.most), of);
    };
    put("fixed, RPC/s", typical_of(fixed_));
    put("RPC/s", typical_of(elastic_));
    put("RPC/s, ratio", ratio);
    put("ms until all are connected", typical_of(connected));
    put("ms until 95 %", typical_of(reached_));
    put("s until it has one channel", {.value = median(small) / 1e3});
    put("of all CPUs", {.value = median(used_)});
  }

  void print_sizes() const {
    std::printf("%s, sizes in the last round (connected of expected):", case_.name().c_str());
    for (const auto& each : watches_.back()->changes())
      std::printf(" %.0f ms: %zu of %zu;", each.ms, each.connected, each.expected);
    std::puts("");
  }

 private:
  using calls = pooled_calls<by_client>;
  using watch = size_watch<calls>;
  static constexpr double settled_ms = 2'000;
  static constexpr double load_ms = 4'000;

  [[nodiscard]] pool_options options(std::size_t size) const {
    pool_options of{
        .name = "bench", .pool_size = size, .channel = {.address = "127.0.0.1:" + std::to_string(server_.port())}};
    of.max_in_flight = static_cast<std::size_t>(case_.streams);
    of.max_size = case_.most;
    return of;
  }

  [[nodiscard]] progress under_load(calls& callers) {
    load all(case_.callers, std::chrono::milliseconds(20));
    progress made;
    [[maybe_unused]] const auto begun = callers.start(all);
    made.watch(all, load_ms);
    all.end();
    return made;
  }

  const elastic_case case_;
  const test::server_process server_;
  samples fixed_, elastic_, reached_, fixed_reached_, used_;
  std::vector<std::unique_ptr<calls>> grown_;
  std::vector<std::unique_ptr<watch>> watches_;  // destroyed before the calls
};

inline void grow_with_the_load(const std::string& executable) {
  constexpr int rounds = 5;
  std::printf(
      "A pool that grows from one channel, beside a fixed one of the largest size. The server takes 20 ms, and allows "
      "a number of RPCs at once per connection. %d rounds; RPC/s from the third second on\n",
      rounds);
  std::vector<std::unique_ptr<elastic_comparison>> all;
  for (const auto& each : {elastic_case{100, 1'000, 5}, elastic_case{100, 1'000, 10}, elastic_case{20, 100, 5}})
    all.push_back(std::make_unique<elastic_comparison>(executable, each));
  for (int round = 0; round < rounds; ++round)
    for (const auto& each : all) each->measure_once();
  table result({"", "fixed: RPC/s", "elastic: RPC/s", "x", "all connected after ms", "95 % after ms",
                "fixed: 95 % after ms", "one channel again after s", "of all CPUs"});
  for (const auto& each : all) each->report(result);
  result.print();
  for (const auto& each : all) each->print_sizes();
  std::puts("");
}

}  // namespace conn_grpc::bench
