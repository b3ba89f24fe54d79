// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <conn_grpc/options.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "runtime/condition.hpp"

namespace conn_grpc::test {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Runs a coroutine on the context until it returns. An exception of the coroutine is
/// thrown here. A test that hangs fails after half a minute.
inline void run(asio::io_context& io, asio::awaitable<void> body) {
  bool ended = false;
  std::exception_ptr thrown;
  asio::co_spawn(io, std::move(body), [&](std::exception_ptr e) {
    ended = true;
    thrown = std::move(e);
    io.stop();
  });
  io.restart();
  io.run_for(30s);
  if (thrown) std::rethrow_exception(thrown);
  if (!ended) throw std::runtime_error("the test hangs");
}

/// Observes each connect, loss and failed attempt through the options of a channel or
/// pool, and then wakes the test's coroutine. All of it runs on one single-threaded
/// io_context.
class observer {
 public:
  observer() = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;

  /// Adds the observer's functions to the options. The observer must outlive the channel.
  channel_options watch(channel_options options) {
    options.on_connect = [this] { ++connects, changed.notify(); };
    options.on_disconnect = [this] { ++disconnects, changed.notify(); };
    options.make_backoff = [this](backoff_range) { return std::make_unique<observed_backoff>(*this); };
    return options;
  }

  asio::awaitable<void> until(std::function<bool()> reached) {
    while (!reached()) co_await changed.wait();
  }

  /// For what changes without a notification, such as the sockets of another process.
  static asio::awaitable<void> poll_until(std::function<bool()> reached) {
    while (!reached()) co_await asio::post(asio::deferred);
  }

  /// The delay of each next wait. The argument counts the calls, over all channels, from
  /// 0.
  std::function<std::chrono::milliseconds(int)> delay = [](int) { return 20ms; };

  int connects = 0;
  int disconnects = 0;
  int waits = 0;   // calls of next()
  int resets = 0;  // calls of reset()
  runtime::condition<std::chrono::steady_clock, asio::any_io_executor> changed;

 private:
  class observed_backoff final : public backoff {
   public:
    explicit observed_backoff(observer& seen) : observer_(seen) {}
    std::chrono::milliseconds next() override {
      const auto wait = observer_.delay(observer_.waits++);
      observer_.changed.notify();
      return wait;
    }
    void reset() override { ++observer_.resets; }

   private:
    observer& observer_;
  };
};

}  // namespace conn_grpc::test
