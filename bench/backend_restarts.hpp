// SPDX-License-Identifier: BSL-1.0
// Backends that end and come back: by graceful shutdown, announced by their health or not,
// and by SIGKILL.
#pragma once

#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <thread>

#include "backend_process.hpp"
#include "backend_scenarios.hpp"
#include "backend_subjects.hpp"

namespace conn_grpc::bench {

/// Restarts one backend of three after the other, ten times in all.
/// @param prepare called with each backend before `end`, which ends it.
template <class Prepare, class End>
void restart(const std::string& key, const std::string& question, std::deque<backend>& backends, subjects& all,
             Prepare prepare, End end) {
  series noticed(all.size());
  series failing(all.size());
  series share(all.size());
  all.start();
  for (std::size_t i = 0; i < 10; ++i) {
    auto& one = backends[i % backends.size()];
    all.expect_no_failures(false);
    prepare(one);
    const auto begun = all.now();
    end(one);
    all.expect_no_failures(true);
    one.start();
    share.add(all.time_until_share(one.address(), backends.size(), all.now()));
    samples seen;
    samples failed;
    for (std::size_t s = 0; s < all.size(); ++s) {
      seen.push_back(all[s].noticed(one.address(), begun[s]) - begun[s]);
      const double last = all[s].calls().last_failure() - begun[s];
      failed.push_back(last > 0 ? last : never);
    }
    noticed.add(seen);
    failing.add(failed);
    std::this_thread::sleep_for(300ms);
  }
  all.finish();
  print_results(
      key, question, all,
      {{"begun after its end", [&](std::size_t s) { return static_cast<double>(all[s].calls().late_failures()); }},
       {"noticed ms", [&](std::size_t s) { return noticed.typical(s); }},
       {"last failure ms", [&](std::size_t s) { return failing.typical(s); }},
       {"its share after ms", [&](std::size_t s) { return share.typical(s); }}});
}

inline void restart_by_shutdown(const std::string& executable) {
  auto backends = start_backends(3, executable);
  subjects all;
  add_both(all, {}, addresses_of(backends));
  restart(
      "shutdown", "Ten restarts by graceful shutdown, one backend of three after the other, 200 RPCs in flight",
      backends, all, [](backend&) {}, [](backend& one) { one.shut_down(); });
}

inline void restart_by_kill(const std::string& executable) {
  auto backends = start_backends(3, executable);
  subjects all;
  add_both(all, {}, addresses_of(backends));
  restart("kill", "Ten restarts by SIGKILL", backends, all, [](backend&) {}, [](backend& one) { one.kill(); });
}

/// The clients ask for the health of the whole server.
inline void restart_announced(const std::string& executable) {
  auto backends = start_backends(3, executable, {"--health"});
  auto with_health = two_to_each();
  with_health.channel.health_service = "";
  grpc::ChannelArguments by_grpc;
  by_grpc.SetServiceConfigJSON(
      R"({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})");
  subjects all;
  all.add<pooled_backends>("conn_grpc, health_service", call_load{}, addresses_of(backends), with_health);
  all.add<round_robin_channel>("round_robin, healthCheckConfig", call_load{}, addresses_of(backends), by_grpc);
  restart(
      "announced", "Ten restarts by graceful shutdown, and each backend says NOT_SERVING 400 ms before", backends, all,
      [](backend& one) {
        one.stop_serving();
        std::this_thread::sleep_for(400ms);
      },
      [](backend& one) { one.shut_down(); });
}

/// Two backends of four are gone for a second.
inline void lose_half(const std::string& executable) {
  auto backends = start_backends(4, executable);
  subjects all;
  add_both(all, {}, addresses_of(backends));
  all.start();
  all.expect_no_failures(false);
  backends[0].kill();
  backends[1].kill();
  all.expect_no_failures(true);
  std::this_thread::sleep_for(1s);
  backends[0].start();
  backends[1].start();
  const auto share = all.time_until_share(backends[1].address(), backends.size(), all.now());
  all.finish();
  print_results(
      "half", "Two backends of four are killed at once, and return after a second; 200 RPCs in flight", all,
      {{"begun after their end", [&](std::size_t s) { return static_cast<double>(all[s].calls().late_failures()); }},
       {"share after ms", [&](std::size_t s) { return share[s]; }}});
}

}  // namespace conn_grpc::bench
