// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <stdexcept>
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

/// Waits for what other threads do. Returns whether it has happened within half a minute.
template <class Happened>
bool happens(Happened happened) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!happened()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// The same. A test that hangs has failed.
template <class Happened>
void wait_until(Happened happened) {
  if (!happens(happened)) throw std::runtime_error("the test hangs");
}

}  // namespace conn_grpc::test
