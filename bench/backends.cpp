// SPDX-License-Identifier: BSL-1.0
// What do callers of several backends see when servers restart, crash, freeze, come and
// go? A pool with `addresses`, two channels to each, compared with one gRPC channel over
// the same addresses with gRPC's policy round_robin, at the same time.
//
// Each backend is a process of its own. A failed RPC is not repeated.
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "backend_process.hpp"
#include "backend_scenarios.hpp"
#include "backend_subjects.hpp"
#include "process.hpp"
#include "support.hpp"
#include "support/sockets.hpp"

namespace conn_grpc::bench {
namespace {

constexpr const char* pooled = "conn_grpc";
constexpr const char* plain = "round_robin";

pool_options two_to_each() { return {.name = "bench", .pool_size = 2}; }

void add_both(subjects& all, const call_load& load, const std::vector<std::string>& addresses) {
  all.add<pooled_backends>(pooled, load, addresses, two_to_each());
  all.add<round_robin_channel>(plain, load, addresses);
}

/// Restarts one backend after the other, ten times in all.
void restart(const std::string& executable, bool gracefully) {
  auto backends = start_backends(3, executable);
  subjects all;
  add_both(all, {}, addresses_of(backends));
  series noticed(all.size());
  series failing(all.size());
  series share(all.size());
  all.start();
  for (std::size_t i = 0; i < 10; ++i) {
    auto& one = backends[i % backends.size()];
    all.expect_no_failures(false);
    const auto begun = all.now();
    gracefully ? one.shut_down() : one.kill();
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
  print_results(gracefully
                    ? "Ten restarts by graceful shutdown, one backend of three after the other, 200 RPCs in flight"
                    : "The same by SIGKILL",
                all, {"begun after its end", "noticed ms", "last failure ms", "its share after ms", "slowest RPC ms"},
                [&](std::size_t s) -> std::vector<std::string> {
                  const auto& calls = all[s].calls();
                  return {std::to_string(calls.late_failures()), noticed.text(s), failing.text(s), share.text(s),
                          number(calls.longest(), 0)};
                });
}

/// A server that closes each connection at that age, and a few callers.
void server_closes_connections(const std::string& executable) {
  const backend one_second(executable, {"--max-connection-age", "1000"});
  const backend two_seconds(executable, {"--max-connection-age", "2000"});
  const call_load few{.callers = 4, .server_takes = 5ms};
  subjects all;
  for (const auto* server : {&one_second, &two_seconds}) {
    const std::string age = server == &one_second ? ", 1 s" : ", 2 s";
    all.add<pooled_backends>(pooled + age, few, std::vector{server->address()}, pool_options{.name = "bench"});
    all.add<round_robin_channel>(plain + age, few, std::vector{server->address()});
  }
  all.start();
  std::this_thread::sleep_for(20s);
  all.finish();
  print_results("A server that closes connections at an age of 1 s or 2 s, one channel, 4 callers, 20 s", all,
                {"slowest RPC ms"},
                [&](std::size_t s) -> std::vector<std::string> { return {number(all[s].calls().longest(), 0)}; });
}

struct resources {
  std::size_t threads = 0;
  std::size_t sockets = 0;
  std::size_t memory_kib = 0;

  [[nodiscard]] static resources now() {
    resources all{.threads = test::threads(), .sockets = 0, .memory_kib = test::resident_kib()};
    DIR* files = ::opendir("/proc/self/fd");
    while (const dirent* file = ::readdir(files)) {
      std::array<char, 64> target{};
      const auto path = std::string("/proc/self/fd/") + file->d_name;
      if (::readlink(path.c_str(), target.data(), target.size() - 1) > 0)
        all.sockets += std::string_view(target.data()).starts_with("socket:") ? 1 : 0;
    }
    ::closedir(files);
    return all;
  }
};

/// Connections are replaced all the time.
void replace_connections(const std::string& executable, std::chrono::seconds time) {
  const auto backends = start_backends(3, executable);
  const call_load load{.callers = 50, .server_takes = 10ms};
  auto by_age = two_to_each();
  by_age.channel.max_connection_age = 500ms;
  subjects all;
  all.add<pooled_backends>("refresh() every 500 ms", load, addresses_of(backends), two_to_each());
  all.add<pooled_backends>("max_connection_age 500 ms", load, addresses_of(backends), by_age);
  all.start();
  const auto before = resources::now();
  for (const stopwatch since; since.ms() < std::chrono::duration<double, std::milli>(time).count();) {
    all[0].refresh();
    std::this_thread::sleep_for(500ms);
  }
  const auto after = resources::now();
  all.finish();
  print_results("Six connections of each pool are replaced all the time, 50 callers", all, {"slowest RPC ms"},
                [&](std::size_t s) -> std::vector<std::string> { return {number(all[s].calls().longest(), 0)}; });
  table use({"", "threads", "sockets", "memory KiB"});
  for (const auto& [when, of] : {std::pair("at the beginning", before), std::pair("at the end", after)})
    use.add({when, std::to_string(of.threads), std::to_string(of.sockets), std::to_string(of.memory_kib)});
  use.print();
  std::puts("");
}

/// The addresses change under load.
void change_addresses(const std::string& executable) {
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
  print_results("One backend is added to two, one is removed, all are replaced by three others; 200 RPCs in flight",
                all,
                {"added: its share after ms", "removed: last answer ms", "replaced: share after ms", "last answer ms",
                 "slowest RPC ms"},
                [&](std::size_t s) -> std::vector<std::string> {
                  return {number(added[s], 0), number(removed[s], 0), number(replaced.first[s], 0),
                          number(replaced.second[s], 0), number(all[s].calls().longest(), 0)};
                });
}

/// Two backends of four are gone for a second.
void lose_half(const std::string& executable) {
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
  print_results("Two backends of four are killed at once, and return after a second; 200 RPCs in flight", all,
                {"begun after their end", "share after ms", "slowest RPC ms"},
                [&](std::size_t s) -> std::vector<std::string> {
                  const auto& calls = all[s].calls();
                  return {std::to_string(calls.late_failures()), number(share[s], 0), number(calls.longest(), 0)};
                });
}

/// One backend of three accepts connections, and does not answer, for four seconds.
void freeze_one(const std::string& executable) {
  auto backends = start_backends(3, executable);
  const auto addresses = addresses_of(backends);
  const call_load load{.callers = 60, .server_takes = 20ms, .deadline = 500ms};
  grpc::ChannelArguments keepalive;
  keepalive.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1'000);
  keepalive.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1'000);
  auto quick = two_to_each();
  quick.channel.connect_timeout = 500ms;
  auto with_keepalive = quick;
  with_keepalive.name = "keepalive";
  with_keepalive.channel.arguments = keepalive;

  subjects all;
  all.add<pooled_backends>("conn_grpc, suspect()", load, addresses, quick, true);
  all.add<pooled_backends>("conn_grpc, keepalive 1 s", load, addresses, with_keepalive);
  all.add<round_robin_channel>(plain, load, addresses);
  all.add<round_robin_channel>("round_robin, keepalive 1 s", load, addresses, keepalive);
  const auto answers = [&] {
    samples count;
    for (const auto& each : all) count.push_back(static_cast<double>(each->calls().answers()));
    return count;
  };
  all.start();
  const auto begin = answers();
  std::this_thread::sleep_for(2s);
  const auto before = since(answers(), begin);

  std::optional<frozen> stopped(backends[0]);
  const auto stopped_at = all.now();
  const auto frozen_begin = answers();
  std::this_thread::sleep_for(4s);
  const auto meanwhile = since(answers(), frozen_begin);
  stopped.reset();
  const auto share = all.time_until_share(addresses[0], backends.size(), all.now());
  all.finish();
  print_results("One backend of three is frozen for 4 s; 60 callers, whose RPCs have 500 ms", all,
                {"noticed ms", "last failure ms", "answers meanwhile", "its share after ms"},
                [&](std::size_t s) -> std::vector<std::string> {
                  return {number(all[s].noticed(addresses[0], stopped_at[s]) - stopped_at[s], 0),
                          number(all[s].calls().last_failure() - stopped_at[s], 0),
                          number(meanwhile[s] / before[s] * 50, 0) + " %", number(share[s], 0)};
                });
}

int run(const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  std::ranges::copy_if(std::next(arguments.begin()), arguments.end(), std::back_inserter(names),
                       [](const std::string& name) { return name != "--long"; });
  const bool is_long = names.size() + 1 < arguments.size();
  const auto& server = arguments.front();
  const std::map<std::string, std::function<void()>> questions{
      {"1-shutdown", [&] { restart(server, true); }},
      {"2-kill", [&] { restart(server, false); }},
      {"3-age-of-server", [&] { server_closes_connections(server); }},
      {"4-replaced", [&] { replace_connections(server, is_long ? 60s : 15s); }},
      {"5-addresses", [&] { change_addresses(server); }},
      {"6-half", [&] { lose_half(server); }},
      {"7-frozen", [&] { freeze_one(server); }},
  };
  for (const auto& name : names)
    if (!questions.contains(name)) throw std::invalid_argument("no question " + name);
  for (const auto& [name, answer] : questions)
    if (names.empty() || std::ranges::find(names, name) != names.end()) answer();
  return 0;
}

}  // namespace
}  // namespace conn_grpc::bench

// backends GREETER_SERVER [--long] [QUESTION...]: all questions take a minute and a half;
// with --long the fourth takes a minute itself.
int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty() || arguments.front().starts_with('-')) {
    std::fputs("usage: backends GREETER_SERVER [--long] [QUESTION...]\n", stderr);
    return 2;
  }
  conn_grpc::bench::raise_file_limit();
  conn_grpc::bench::warn_unless_optimized();
  return conn_grpc::bench::run(arguments);
} catch (const std::exception& e) {
  std::fprintf(stderr, "backends: %s\n", e.what());
  return 1;
}
