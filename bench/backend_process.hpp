// SPDX-License-Identifier: BSL-1.0
// A backend is a greeter_server in a process of its own, which may end, come back on the
// same port, and be frozen.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdio>
#include <deque>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/server_process.hpp"

namespace conn_grpc::bench {

/// Ends with this object, or with this process.
class backend {
 public:
  explicit backend(std::string executable, std::vector<std::string> options = {})
      : executable_(std::move(executable)), options_(std::move(options)) {
    start();
  }

  [[nodiscard]] std::string address() const { return port_.address(); }

  void start() { process_.emplace(executable_, port_.address(), options_); }
  void kill() { process_->kill(); }
  void shut_down() { process_->shut_down(); }
  /// Says NOT_SERVING from now on. The server needs the option --health.
  void stop_serving() { process_->tell("not-serving"); }

 private:
  friend class frozen;

  const std::string executable_;
  const std::vector<std::string> options_;
  const test::reserved_port port_;
  std::optional<test::server_process> process_;
};

/// Keeps a backend stopped by SIGSTOP. It goes on when this object ends. It also goes on
/// when this process ends in any way: a stopped process would not notice the end of its
/// standard input.
class frozen {
 public:
  explicit frozen(const backend& stopped) : pid_(stopped.process_->pid()) {
    const auto guard = "read -r _; kill -CONT " + std::to_string(pid_);
    guard_ = ::popen(guard.c_str(), "we");
    if (guard_ == nullptr) throw std::runtime_error("popen failed");
    ::kill(pid_, SIGSTOP);
  }
  ~frozen() { ::pclose(guard_); }
  frozen(const frozen&) = delete;
  frozen& operator=(const frozen&) = delete;

 private:
  const pid_t pid_;
  std::FILE* guard_ = nullptr;
};

/// Several backends, each with a port of its own.
inline std::deque<backend> start_backends(std::size_t count, const std::string& executable,
                                          const std::vector<std::string>& options = {}) {
  std::deque<backend> all;
  for (std::size_t i = 0; i < count; ++i) all.emplace_back(executable, options);
  return all;
}

inline std::vector<std::string> addresses_of(const std::deque<backend>& all) {
  std::vector<std::string> addresses;
  for (const auto& one : all) addresses.push_back(one.address());
  return addresses;
}

}  // namespace conn_grpc::bench
