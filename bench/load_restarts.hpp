// SPDX-License-Identifier: BSL-1.0
// Calls, with each kind of retries, while backends end and come back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend_process.hpp"
#include "client_callers.hpp"
#include "support.hpp"
#include "support/temporary_folder.hpp"

namespace conn_grpc::bench {

/// A file to which backends append the name of each request. It is removed in the end.
class request_record {
 public:
  [[nodiscard]] const std::string& path() const { return path_; }

  /// How many requests were executed more than once, by the first word of their name.
  [[nodiscard]] std::map<std::string, int> repeated() const {
    std::unordered_map<std::string, int> times;
    std::map<std::string, int> repeated;
    std::ifstream lines(path_);
    for (std::string line; std::getline(lines, line);)
      if (++times[line] == 2) ++repeated[line.substr(0, line.find(' '))];
    return repeated;
  }

 private:
  const test::temporary_folder folder_;
  const std::string path_ = folder_.path() / "requests";
};

/// Restarts one of three backends after the other, ten times in all. Clients with different
/// retries call them at the same time.
template <class End>
void restart_ten_times(const std::string& executable, const std::string& how, End end) {
  using namespace std::chrono_literals;
  const request_record requests;
  auto backends = start_backends(3, executable, {"--record", requests.path()});
  std::deque<client_callers> clients;
  for (const auto& [name, repeats] :
       {std::pair("never", retry::never), {"unsent", retry::unsent}, {"idempotent", retry::idempotent}}) {
    pool_options options{.name = name, .pool_size = 2, .channel = {.backoff = {.min = 100ms, .max = 1s}}};
    options.addresses = addresses_of(backends);
    clients.emplace_back(
        name, client_load{.callers = 200, .server_takes = 100ms, .each = {.timeout = 10s, .retries = repeats}},
        std::move(options));
  }
  for (auto& client : clients) client.start();
  std::this_thread::sleep_for(2s);
  const auto all_are_connected = [&] {
    for (const auto& client : clients)
      if (const auto now = client.status(); now.current_size < now.expected_size) return false;
    return true;
  };
  for (std::size_t i = 0; i < 10; ++i) {
    auto& one = backends[i % backends.size()];
    end(one);
    one.start();
    for (const stopwatch waiting; !all_are_connected(); std::this_thread::sleep_for(10ms))
      if (waiting.ms() > 10'000) throw std::runtime_error("a pool does not connect again");
    std::this_thread::sleep_for(300ms);
  }
  for (auto& client : clients) client.finish();

  std::printf("Ten restarts by %s, one backend of three after the other; 200 callers of each client\n", how.c_str());
  table result({"retries", "calls", "failed", "executed twice"});
  auto repeated = requests.repeated();
  for (const auto& client : clients) {
    const int twice = repeated[client.name()];
    result.add(
        {client.name(), std::to_string(client.ended()), std::to_string(client.failures()), std::to_string(twice)});
    const auto put = [&](const std::string& what, double value) {
      record("load", how + ", retry::" + client.name() + ": " + what, 200, value);
    };
    put("calls", static_cast<double>(client.ended()));
    put("failed", static_cast<double>(client.failures()));
    put("executed twice", twice);
  }
  result.print();
  for (const auto& client : clients)
    for (const auto& [words, times] : client.words())
      std::printf("  retry::%s, failed: %d x %s\n", client.name().c_str(), times, words.c_str());
  std::puts("");
  std::fflush(stdout);
}

inline void restart_under_callers(const std::string& executable) {
  restart_ten_times(executable, "graceful shutdown", [](backend& one) { one.shut_down(); });
  restart_ten_times(executable, "SIGKILL", [](backend& one) { one.kill(); });
}

}  // namespace conn_grpc::bench
