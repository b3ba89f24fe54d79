// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/pool.hpp>
#include <conn_grpc/static_pool.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>

#include "other_pools.hpp"
#include "process.hpp"

namespace conn_grpc::bench {

/// Each context has one of its own, with the options that are set when it begins.
struct typed_pool : static_pool<typed_pool> {
  static pool_options options() { return next_options; }
  static inline pool_options next_options;
};

/// A pool whose channels are all connected, and a typed one. Their io_context runs on a
/// thread of its own, which sleeps, or runs the coroutines that are measured. Another
/// thread does the same, and has nothing to do with the pool.
class connected_pool {
 public:
  connected_pool(const std::string& address, std::size_t size)
      : pool_(io_, {.name = "bench", .pool_size = size, .channel = {.address = address}}) {
    pool_.async_run(asio::detached);
    typed_pool::next_options = {.pool_size = size, .channel = {.address = address}};
    typed_pool::async_run(io_, asio::detached);
    thread_ = std::jthread([this] { io_.run(); });
    const stopwatch waiting;
    while (pool_.status().current_size < size || typed_pool::status(io_).current_size < size) {
      if (waiting.ms() > 10'000) {
        stop();
        throw std::runtime_error("cannot connect to " + address);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  ~connected_pool() { stop(); }

  connected_pool(const connected_pool&) = delete;
  connected_pool& operator=(const connected_pool&) = delete;

  [[nodiscard]] conn_grpc::pool& pool() { return pool_; }
  [[nodiscard]] asio::io_context& context() { return io_; }
  [[nodiscard]] asio::any_io_executor other_thread() { return other_.get_executor(); }

  /// Each of the channels once.
  [[nodiscard]] member_list members() {
    member_list all(pool_.status().current_size);
    for (auto& member : all) member = pool_.try_get_channel().value();
    return all;
  }

 private:
  void stop() {
    pool_.stop();
    typed_pool::stop(io_);
  }

  asio::io_context io_{1};
  asio::thread_pool other_{1};
  conn_grpc::pool pool_;
  std::jthread thread_;
};

}  // namespace conn_grpc::bench
