// SPDX-License-Identifier: BSL-1.0
// One backend of four is much slower than the others.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend_process.hpp"
#include "client_callers.hpp"
#include "support.hpp"

namespace conn_grpc::bench {

/// A policy over four backends, with or without a slow one.
struct slow_case {
  pick_policy policy;
  std::size_t channels;  // to each backend
  bool has_slow;
  samples share{}, p50{}, p99{}, per_second{};

  [[nodiscard]] std::string name() const {
    return std::string(policy == pick_policy::least_loaded ? "least_loaded" : "round_robin") + ", " +
           std::to_string(channels) + (channels == 1 ? " channel each" : " channels each") +
           (has_slow ? ", one is slow" : ", all alike");
  }
};

/// Leases of the channels to this address, and of all.
inline std::pair<double, double> leases_of(const pool_status& status, const std::string& address) {
  std::pair<double, double> sum{};
  for (const auto& channel : status.channels) {
    sum.second += static_cast<double>(channel.served);
    if (channel.address == address) sum.first += static_cast<double>(channel.served);
  }
  return sum;
}

/// @param slow the address of the slow one, if there is one.
inline void measure_once(slow_case& measured, const std::vector<std::string>& addresses, int callers) {
  using namespace std::chrono_literals;
  pool_options options{.name = "bench", .pool_size = measured.channels};
  options.addresses = addresses;
  options.pick = measured.policy;
  client_callers calls("slow", {.callers = callers, .server_takes = 40ms}, options);
  calls.start();
  std::this_thread::sleep_for(3s);  // the calls that were sent to the slow one at the beginning have ended
  const auto before = leases_of(calls.status(), addresses.front());
  const auto ended = calls.ended();
  const stopwatch watch;
  calls.set_timed(true);
  std::this_thread::sleep_for(5s);
  calls.set_timed(false);
  const double seconds = watch.ms() / 1e3;
  const auto after = leases_of(calls.status(), addresses.front());
  measured.per_second.push_back(static_cast<double>(calls.ended() - ended) / seconds);
  calls.finish();
  measured.share.push_back((after.first - before.first) / (after.second - before.second) * 100);
  measured.p50.push_back(quantile(calls.times(), 0.5));
  measured.p99.push_back(quantile(calls.times(), 0.99));
  if (calls.failures() > 0) std::printf("%llu calls failed\n", static_cast<unsigned long long>(calls.failures()));
}

inline void call_a_slow_backend(const std::string& executable) {
  constexpr int rounds = 3;
  constexpr int callers = 200;
  std::printf("Four backends that take 40 ms, or one of them 2 s; %d callers, %d rounds of 5 s\n", callers, rounds);
  auto healthy = start_backends(4, executable);
  const backend slow(executable, {"--slower", "50"});
  const auto all_alike = addresses_of(healthy);
  auto one_is_slow = all_alike;
  one_is_slow.front() = slow.address();

  std::vector<slow_case> cases;
  for (const std::size_t channels : {std::size_t{1}, std::size_t{2}})
    for (const bool has_slow : {false, true})
      for (const auto policy : {pick_policy::round_robin, pick_policy::least_loaded})
        cases.push_back({policy, channels, has_slow});
  for (int round = 0; round < rounds; ++round)
    for (auto& each : cases) measure_once(each, each.has_slow ? one_is_slow : all_alike, callers);

  table result({"", "calls/s", "share of the first backend %", "p50 ms", "p99 ms", "p99 x all alike"});
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& each = cases[i];
    const auto& reference = each.has_slow ? cases[i - 2] : each;
    const auto ratio = typical_ratio(each.p99, reference.p99);
    result.add({each.name(), number(median(each.per_second), 0), number(median(each.share), 2),
                number(median(each.p50), 1), number(median(each.p99), 1), number(ratio, 2)});
    const auto put = [&](const std::string& what, typical of) {
      record("load", each.name() + ": " + what, callers, of);
    };
    put("calls/s", typical_of(each.per_second));
    put("share, %", typical_of(each.share));
    put("p50, ms", typical_of(each.p50));
    put("p99, ms", typical_of(each.p99));
    put("p99, ratio", ratio);
  }
  result.print();
  std::puts("");
}

}  // namespace conn_grpc::bench
