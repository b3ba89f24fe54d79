// SPDX-License-Identifier: BSL-1.0
// Callers of `client::call`, whose calls are timed, and may fail.
#pragma once

#include <conn_grpc/client.hpp>
#include <conn_grpc/pool.hpp>

#include <grpcpp/support/status.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "call_record.hpp"
#include "rpc_load.hpp"
#include "support.hpp"

namespace conn_grpc::bench {

/// The value that this part of all values is not above.
[[nodiscard]] inline double quantile(samples values, double part) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(part * last);
  std::ranges::nth_element(values, at);
  return *at;
}

struct client_load {
  int callers = 200;  // each with one call in flight
  std::chrono::milliseconds server_takes{50};
  call_options each{};
};

/// Callers over a pool of their own. Each call has a number in its request. A caller whose
/// call has failed waits for a millisecond.
class client_callers {
 public:
  /// @param name the begin of the name in each request.
  client_callers(std::string name, client_load load, pool_options options)
      : name_(std::move(name)), load_(std::move(load)), pool_(context_.get(), std::move(options)), greets_(pool_) {
    pool_.async_run(asio::detached);
    pool_.async_connected(pool_.status().expected_size, std::chrono::seconds(10), asio::use_future).get();
  }
  ~client_callers() { pool_.stop(); }
  client_callers(const client_callers&) = delete;
  client_callers& operator=(const client_callers&) = delete;

  void start() {
    running_ = load_.callers;
    for (int i = 0; i < load_.callers; ++i)
      asio::co_spawn(context_.get(), call(), [this](const std::exception_ptr& thrown) {
        if (thrown) std::terminate();
        --running_;
      });
  }
  /// Returns when no call is in flight.
  void finish() {
    over_ = true;
    for (const stopwatch waiting; running_ > 0; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
      if (waiting.ms() < 30'000) continue;
      std::fputs("calls do not end\n", stderr);
      std::abort();  // they refer to this object
    }
  }

  /// The calls that begin while this is set are timed.
  void set_timed(bool timed) { is_timed_ = timed; }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] pool_status status() const { return pool_.status(); }
  [[nodiscard]] std::uint64_t ended() const { return ended_; }

  // When `finish` has returned.

  [[nodiscard]] std::uint64_t failures() const { return failures_; }
  [[nodiscard]] const std::map<std::string, int>& words() const { return words_; }
  /// Of the calls that were timed, in ms.
  [[nodiscard]] const samples& times() const { return times_; }

 private:
  asio::awaitable<void> call() {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    test::HelloRequest request;
    request.set_delay_ms(static_cast<int>(load_.server_takes.count()));
    while (!over_) {
      request.set_name(name_ + ' ' + std::to_string(number_++));
      const bool is_timed = is_timed_;
      const stopwatch watch;
      test::HelloReply reply;
      const auto status = co_await greets_.call(&greeter::Stub::async::SayHello, request, reply, load_.each);
      ++ended_;
      if (is_timed) times_.push_back(watch.ms());
      if (status.ok()) continue;
      ++failures_;
      ++words_[name_of(status.error_code()) + " \"" + without_numbers(status.error_message()) + '"'];
      pause.expires_after(std::chrono::milliseconds(1));
      co_await pause.async_wait(asio::use_awaitable);
    }
  }

  const std::string name_;
  const client_load load_;
  std::atomic<bool> over_{false};
  std::atomic<bool> is_timed_{false};
  std::atomic<int> running_{0};
  std::atomic<std::uint64_t> ended_{0};
  // Of the context's thread.
  std::uint64_t number_ = 0;
  std::uint64_t failures_ = 0;
  std::map<std::string, int> words_;
  samples times_;
  running_context context_;
  pool pool_;
  const client<greeter> greets_;
};

}  // namespace conn_grpc::bench
