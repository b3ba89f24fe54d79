// SPDX-License-Identifier: BSL-1.0
// A small service that calls several backends: this, with its .cpp, is the part to learn from.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/telemetry.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rpc_counts.hpp"

namespace demo {

namespace asio = boost::asio;

/// What the service knows of one of its backends.
struct backend_record {
  std::chrono::steady_clock::time_point last_connect{};
  std::chrono::steady_clock::time_point last_disconnect{};
  std::string last_loss{};            ///< why the last connection was withdrawn
  std::uint64_t connections = 0;      ///< made so far
  std::uint64_t failed_attempts = 0;  ///< to connect
  rpc_counts rpcs{};
};

/// Everything happens on the one thread that runs the io_context, so nothing here needs a lock.
class greeting_service {
 public:
  static constexpr std::size_t connections = 2;  // to each backend
  static constexpr int callers = 32;
  static constexpr std::chrono::milliseconds deadline{300};  // of each RPC

  /// @param log_transitions let the pool log each step of each channel through spdlog.
  greeting_service(asio::io_context& io, const std::vector<std::string>& addresses, bool log_transitions);

  /// Connects, and stays connected until `stop()`.
  void connect();

  /// Starts the callers. They end after `drain()` or `stop()`.
  void make_calls();

  /// Replaces every connection while the callers go on.
  void refresh() { pool_.refresh(); }

  /// Ends in order: the RPCs in flight are awaited, no others begin.
  asio::awaitable<void> drain(std::chrono::milliseconds timeout) { return pool_.drain(timeout); }

  void stop() { pool_.stop(); }

  [[nodiscard]] conn_grpc::pool_status status() const { return pool_.status(); }
  [[nodiscard]] const rpc_counts& rpcs() const { return rpcs_; }
  [[nodiscard]] const backend_record& record_of(const std::string& address) const { return records_.at(address); }
  [[nodiscard]] int callers_left() const { return callers_left_; }

 private:
  asio::awaitable<void> keep_calling(std::string caller, std::chrono::milliseconds after);
  asio::awaitable<void> say_hello(const std::string& name);
  void count(const grpc::Status& status, std::string_view peer);
  void on_event(const conn_grpc::telemetry_event& event);
  conn_grpc::pool_options options(const std::vector<std::string>& addresses, bool log_transitions);

  asio::io_context& io_;
  rpc_counts rpcs_;
  std::map<std::string, backend_record, std::less<>> records_;  // by address
  int callers_left_ = 0;
  conn_grpc::pool pool_;  // its events use what is above
};

}  // namespace demo
