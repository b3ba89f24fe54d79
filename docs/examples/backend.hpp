// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "support/server_process.hpp"

namespace demo {

namespace asio = boost::asio;

/// What the process of a backend is doing.
enum class process_state { down, starting, running, stopping, frozen };

[[nodiscard]] std::string_view to_string(process_state state);

/// A server process that comes back on the same port. A thread of its own starts it and waits for its end: exec and
/// waitpid block for up to 0.1 s, which the service's only thread must not. The process ends with this object, frozen
/// or not.
class backend {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// @param name a letter or two, for a person.
  backend(std::string name, std::string executable);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string address() const { return port_.address(); }
  [[nodiscard]] process_state state() const { return state_; }

  /// Returns when it listened.
  asio::awaitable<time_point> start();

  /// SIGTERM: the server answers the RPCs it has read, and ends. Returns when the signal was sent.
  asio::awaitable<time_point> shut_down();

  /// SIGKILL. Returns when that was sent.
  asio::awaitable<time_point> kill();

  /// SIGSTOP: the process does not run, its connections stay open. Returns when the signal was sent.
  asio::awaitable<time_point> freeze();

  /// SIGCONT. Returns when that was sent.
  asio::awaitable<time_point> thaw();

 private:
  asio::awaitable<time_point> change(process_state meanwhile, std::function<time_point()> work, process_state then);
  asio::awaitable<time_point> signal(process_state meanwhile, std::function<void()> work, process_state then);

  const std::string name_;
  const std::string executable_;
  const conn_grpc::test::reserved_port port_;
  process_state state_ = process_state::down;
  std::unique_ptr<conn_grpc::test::server_process> process_;
  asio::thread_pool thread_{1};  // its work uses what is above
};

}  // namespace demo
