// SPDX-License-Identifier: BSL-1.0
#include "runtime/file_reader.hpp"

#include "runtime/quiet_thread.hpp"

#include <cstddef>
#include <exception>
#include <utility>

namespace conn_grpc::runtime {

bool file_reader::run(std::function<void()> read) {
  constexpr std::size_t most = 10'000;
  std::function<void()> unread;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= most) return false;
  waiting_.push_back(std::move(read));
  if (running_) return true;
  try {
    quiet_thread([self = shared_from_this()] { self->run_all(); }).detach();
    running_ = true;
  } catch (const std::exception&) {  // no thread can be started, or there is no memory for it
    unread = std::move(waiting_.back());
    waiting_.pop_back();
  }
  return running_;
}

void file_reader::run_all() {
  std::unique_lock lock(mutex_);
  while (!waiting_.empty()) {
    auto read = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    read();
    read = nullptr;
    lock.lock();
  }
  running_ = false;
}

}  // namespace conn_grpc::runtime
