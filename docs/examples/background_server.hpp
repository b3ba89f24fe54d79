// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "support/server_process.hpp"

namespace demo {

namespace asio = boost::asio;

/// A server process that is started and ended by a thread of its own: exec and waitpid block for up to 0.1 s, which the
/// service's only thread must not.
class background_server {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  background_server(std::string executable, std::string address);

  /// Returns when it listened.
  asio::awaitable<time_point> start();

  /// SIGKILL. Returns when that was sent.
  asio::awaitable<time_point> kill();

  /// Starts another one, which listens on the same port, and then lets the old one shut down: it answers the calls it
  /// has, and takes no more. Returns when that began.
  asio::awaitable<time_point> replace();

 private:
  asio::awaitable<time_point> in_background(std::function<time_point()> work);
  [[nodiscard]] std::unique_ptr<conn_grpc::test::server_process> new_process() const;

  const std::string executable_;
  const std::string address_;
  std::unique_ptr<conn_grpc::test::server_process> process_;
  asio::thread_pool thread_{1};
};

}  // namespace demo
