// SPDX-License-Identifier: BSL-1.0
// A small service that calls another one: this, with its .cpp, is the part to learn from.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/pool.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace demo {

namespace asio = boost::asio;

/// How the calls went so far.
struct call_counts {
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;       ///< had a connection, which broke
  std::uint64_t turned_away = 0;  ///< had none: the pool said so at once
  std::chrono::steady_clock::duration slowest{};
};

/// Everything happens on the one thread that runs the io_context, so nothing here needs a lock.
class greeting_service {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  static constexpr std::size_t connections = 5;
  static constexpr int callers = 32;

  /// @param log_transitions let the pool log each step of each channel through spdlog.
  greeting_service(asio::io_context& io, const std::string& server_address, bool log_transitions);

  /// Connects, and stays connected until `stop()`.
  void connect();

  /// Starts the callers, who go on until `stop()`.
  void make_calls();

  void stop();

  [[nodiscard]] conn_grpc::pool_status status() const { return pool_.status(); }
  [[nodiscard]] const call_counts& calls() const { return calls_; }
  [[nodiscard]] time_point last_connect() const { return last_connect_; }
  [[nodiscard]] time_point last_disconnect() const { return last_disconnect_; }

 private:
  asio::awaitable<void> keep_calling(std::string caller, std::chrono::milliseconds after);
  asio::awaitable<bool> say_hello(std::string name);

  asio::io_context& io_;
  call_counts calls_;
  time_point last_connect_;
  time_point last_disconnect_;
  conn_grpc::pool pool_;  // its callbacks use what is above
};

}  // namespace demo
