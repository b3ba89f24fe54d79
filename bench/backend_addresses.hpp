// SPDX-License-Identifier: BSL-1.0
// Backends whose addresses change while they are called: a list, and a DNS name.
#pragma once

#include <grpc/grpc.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend_process.hpp"
#include "backend_scenarios.hpp"
#include "backend_subjects.hpp"
#include "support/scripted_name.hpp"
#include "support/server_process.hpp"

namespace conn_grpc::bench {

/// The addresses change under load.
inline void change_addresses(const std::string& executable) {
  auto backends = start_backends(6, executable);
  const auto addresses = addresses_of(backends);
  const auto some = [&](std::size_t from, std::size_t to) {
    return std::vector(addresses.begin() + static_cast<std::ptrdiff_t>(from),
                       addresses.begin() + static_cast<std::ptrdiff_t>(to));
  };
  subjects all;
  add_both(all, {}, some(0, 2));
  all.start();
  all.expect_no_failures(true);
  // Returns the times until `added` serves its share, and until `removed` has answered
  // for the last time.
  const auto change_to = [&](const std::vector<std::string>& to, const std::string& added, const std::string& removed) {
    for (const auto& each : all) each->set_addresses(to);
    const auto begun = all.now();
    samples until_share(all.size(), never);
    if (!added.empty()) until_share = all.time_until_share(added, to.size(), begun);
    std::this_thread::sleep_for(500ms);
    samples last;
    for (std::size_t s = 0; s < all.size(); ++s)
      last.push_back(removed.empty() ? never : all[s].calls().last_answer(removed) - begun[s]);
    return std::pair(until_share, last);
  };
  const auto added = change_to(some(0, 3), addresses[2], {}).first;
  const auto removed = change_to(some(1, 3), {}, addresses[0]).second;
  const auto replaced = change_to(some(3, 6), addresses[3], addresses[1]);
  all.finish();
  print_results("addresses",
                "One backend is added to two, one is removed, all are replaced by three others; 200 RPCs in flight",
                all,
                {{"added: its share after ms", [&](std::size_t s) { return added[s]; }},
                 {"removed: last answer ms", [&](std::size_t s) { return removed[s]; }},
                 {"replaced: share after ms", [&](std::size_t s) { return replaced.first[s]; }},
                 {"last answer ms", [&](std::size_t s) { return replaced.second[s]; }}});
}

/// A DNS name changes from two backends to two others. Those that went shut down four
/// seconds later. getaddrinfo answers the name, so gRPC's resolver must be `native`.
inline void change_name(const std::string& executable) {
  const test::reserved_port port;
  const auto end = ":" + std::to_string(port.number());
  const std::array<std::string, 2> before{"127.0.0.2", "127.0.0.3"};
  const std::array<std::string, 2> after{"127.0.0.4", "127.0.0.5"};
  std::deque<test::server_process> old_servers;
  std::deque<test::server_process> new_servers;
  for (const auto& host : before) old_servers.emplace_back(executable, host + end);
  for (const auto& host : after) new_servers.emplace_back(executable, host + end);
  test::scripted_name name("backends.test", {before.begin(), before.end()});

  auto resolving = two_to_each();
  resolving.channel.address = name.name() + end;
  resolving.resolve_interval = 1s;
  grpc::ChannelArguments often;  // after a loss; 30 s by default
  often.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
  subjects all;
  all.add<pooled_backends>("conn_grpc, resolve_interval 1 s", call_load{}, std::vector<std::string>{}, resolving);
  all.add<round_robin_channel>("round_robin, dns:///", call_load{}, "dns:///" + name.name() + end, often);
  all.start();
  const auto begun = all.now();
  name.set({after.begin(), after.end()});
  std::this_thread::sleep_for(4s);
  for (auto& server : old_servers) server.shut_down();
  samples share(all.size(), 0);
  for (const auto& host : after) {
    const auto its = all.time_until_share(host + end, after.size(), begun);
    for (std::size_t s = 0; s < all.size(); ++s) share[s] = std::isnan(its[s]) ? never : std::max(share[s], its[s]);
  }
  all.finish();
  const auto first = [&](std::size_t s) {
    auto& calls = all[s].calls();
    return std::fmin(calls.first_answer(after[0] + end), calls.first_answer(after[1] + end)) - begun[s];
  };
  const auto last = [&](std::size_t s) {
    auto& calls = all[s].calls();
    return std::fmax(calls.last_answer(before[0] + end), calls.last_answer(before[1] + end)) - begun[s];
  };
  print_results("name",
                "A DNS name changes from two backends to two others, and those that went shut down 4 s later; 200 RPCs "
                "in flight",
                all,
                {{"first answer of a new one ms", first},
                 {"both have their share after ms", [&](std::size_t s) { return share[s]; }},
                 {"last answer of an old one ms", last}});
}

}  // namespace conn_grpc::bench
