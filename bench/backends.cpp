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
#include <cstdlib>
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

#include "backend_addresses.hpp"
#include "backend_process.hpp"
#include "backend_restarts.hpp"
#include "backend_scenarios.hpp"
#include "backend_subjects.hpp"
#include "process.hpp"
#include "questions.hpp"
#include "support.hpp"
#include "support/sockets.hpp"

namespace conn_grpc::bench {
namespace {

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
  print_results("age", "A server that closes connections at an age of 1 s or 2 s, one channel, 4 callers, 20 s", all,
                {});
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
  print_results("replaced", "Six connections of each pool are replaced all the time, 50 callers", all, {});
  table use({"", "threads", "sockets", "memory KiB"});
  for (const auto& [when, of] : {std::pair("at the beginning", before), std::pair("at the end", after)})
    use.add({when, std::to_string(of.threads), std::to_string(of.sockets), std::to_string(of.memory_kib)});
  use.print();
  std::puts("");
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
  print_results(
      "frozen", "One backend of three is frozen for 4 s; 60 callers, whose RPCs have 500 ms", all,
      {{"noticed ms", [&](std::size_t s) { return all[s].noticed(addresses[0], stopped_at[s]) - stopped_at[s]; }},
       {"last failure ms", [&](std::size_t s) { return all[s].calls().last_failure() - stopped_at[s]; }},
       {"answers meanwhile, %", [&](std::size_t s) { return meanwhile[s] / before[s] * 50; }},
       {"its share after ms", [&](std::size_t s) { return share[s]; }}});
}

int run(const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  std::ranges::copy_if(std::next(arguments.begin()), arguments.end(), std::back_inserter(names),
                       [](const std::string& name) { return name != "--long"; });
  const bool is_long = names.size() + 1 < arguments.size();
  const auto& server = arguments.front();
  const std::map<std::string, std::function<void()>> questions{
      {"1-shutdown", [&] { restart_by_shutdown(server); }},
      {"2-kill", [&] { restart_by_kill(server); }},
      {"3-announced", [&] { restart_announced(server); }},
      {"4-age-of-server", [&] { server_closes_connections(server); }},
      {"5-replaced", [&] { replace_connections(server, is_long ? 60s : 15s); }},
      {"6-addresses", [&] { change_addresses(server); }},
      {"7-name", [&] { change_name(server); }},
      {"8-half", [&] { lose_half(server); }},
      {"9-frozen", [&] { freeze_one(server); }},
  };
  answer(questions, names);
  return 0;
}

}  // namespace
}  // namespace conn_grpc::bench

// backends GREETER_SERVER [--long] [QUESTION...]: all questions take a minute and a half;
// with --long the fifth takes a minute itself.
int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty() || arguments.front().starts_with('-')) {
    std::fputs("usage: backends GREETER_SERVER [--long] [QUESTION...]\n", stderr);
    return 2;
  }
  // For change_name. gRPC 1.83 reads its environment before main().
  if (std::getenv("GRPC_DNS_RESOLVER") == nullptr) {
    ::setenv("GRPC_DNS_RESOLVER", "native", 1);
    ::execv("/proc/self/exe", argv);
    throw std::runtime_error("cannot run this program again");
  }
  conn_grpc::bench::raise_file_limit();
  conn_grpc::bench::warn_unless_optimized();
  return conn_grpc::bench::run(arguments);
} catch (const std::exception& e) {
  std::fprintf(stderr, "backends: %s\n", e.what());
  return 1;
}
