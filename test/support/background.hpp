// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

namespace conn_grpc::test {

/// Runs a context on threads of its own.
class background {
 public:
  explicit background(boost::asio::io_context& io, int threads = 1) : io_(io), work_(io.get_executor()) {
    io.restart();
    for (int i = 0; i < threads; ++i) threads_.emplace_back([&io] { io.run(); });
  }
  ~background() {
    io_.stop();
    for (auto& t : threads_) t.join();
  }
  background(const background&) = delete;
  background& operator=(const background&) = delete;

 private:
  boost::asio::io_context& io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

}  // namespace conn_grpc::test
