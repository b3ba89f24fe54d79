// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
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

/// Runs a coroutine on the context until it returns; what it throws is thrown here. A test that hangs is a test that
/// failed, after half a minute.
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

/// Sees each connect, loss and failed attempt through the options of a channel or pool, and wakes the test's coroutine
/// for it. All on one single-threaded io_context.
class observer {
 public:
  observer() = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;

  /// The options with the observer's eyes in them. The observer must outlive the channel.
  channel_options watch(channel_options options) {
    options.on_connect = [this] { ++connects, changed.notify(); };
    options.on_disconnect = [this] { ++disconnects, changed.notify(); };
    options.make_backoff = [this](backoff_range) { return std::make_unique<eye>(*this); };
    return options;
  }

  asio::awaitable<void> until(std::function<bool()> reached) {
    while (!reached()) co_await changed.wait();
  }

  /// What the next waits shall be; the argument counts the calls, over all channels, from 0.
  std::function<std::chrono::milliseconds(int)> delay = [](int) { return 20ms; };

  int connects = 0;
  int disconnects = 0;
  int waits = 0;   // calls of next()
  int resets = 0;  // calls of reset()
  runtime::condition<std::chrono::steady_clock, asio::any_io_executor> changed;

 private:
  class eye final : public backoff {
   public:
    explicit eye(observer& seen) : seen_(seen) {}
    std::chrono::milliseconds next() override {
      const auto wait = seen_.delay(seen_.waits++);
      seen_.changed.notify();
      return wait;
    }
    void reset() override { ++seen_.resets; }

   private:
    observer& seen_;
  };
};

}  // namespace conn_grpc::test
