// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/channel.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <conn_grpc/error.hpp>
#include <conn_grpc/options.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "support/environment.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"

namespace conn_grpc::test {

/// A server that is down until the test starts it. Until then a get can only wait.
class late_server {
 public:
  void start() { process_.emplace(greeter_server(), port_.address()); }
  void kill() { process_.reset(); }
  /// For coroutines of this context: starts the server once the calling coroutine is
  /// suspended.
  void start_soon(asio::io_context& io) {
    asio::post(io, [this] { start(); });
  }

  /// Retries every 10 ms.
  [[nodiscard]] channel_options options() const {
    return {.address = port_.address(), .backoff = {.min = 10ms, .max = 10ms}};
  }

 private:
  const reserved_port port_;
  std::optional<server_process> process_;
};

inline bool is_ready(const channel_ptr& channel) { return channel && channel->GetState(false) == GRPC_CHANNEL_READY; }

/// Runs the context on this thread until `happened()`. A test that hangs has failed.
template <class Happened>
void run_until(asio::io_context& io, Happened happened) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  io.restart();
  while (!happened())
    if (io.run_one_until(end) == 0) throw std::runtime_error("the test hangs");
}

/// What happened to a handler, and to all of its copies.
struct handler_outcome {
  int called = 0;
  int destroyed = 0;
  error_code failed{};
  channel_ptr channel{};

  /// A handler to follow. This object must outlive it.
  auto follow() {
    return [this, held = std::unique_ptr<handler_outcome, end>(this)](error_code why, channel_ptr got = {}) {
      ++called;
      failed = why;
      channel = std::move(got);
    };
  }

 private:
  struct end {
    void operator()(handler_outcome* f) const { ++f->destroyed; }
  };
};

}  // namespace conn_grpc::test
