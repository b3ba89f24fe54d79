// SPDX-License-Identifier: BSL-1.0
#include "grpc/completion_thread.hpp"

#include <pthread.h>

#include <chrono>

namespace conn_grpc::detail {

completion_thread& completion_thread::instance() {
  // Never deleted, so that gRPC may use the queue until the very end. What is pending then stays pending.
  static auto* const thread = new completion_thread;
  static const struct at_exit {
    ~at_exit() { thread->shut_down(); }
  } at_exit;
  return *thread;
}

completion_thread::completion_thread() {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "conn_grpc");
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const std::unique_ptr<completion> what(static_cast<completion*>(tag));
      what->complete(ok);
    }
    const std::lock_guard lock(mutex_);
    drained_ = true;
    drained_changed_.notify_all();
  });
}

void completion_thread::shut_down() {
  if (::getpid() != process_) return;
  open_.close();
  // Let the thread end before static objects go, ours, gRPC's and OpenSSL's. It does within a millisecond, unless a
  // channel is still alive; then it sleeps in gRPC, which does no harm either.
  std::unique_lock lock(mutex_);
  const bool drained = drained_changed_.wait_for(lock, std::chrono::milliseconds(20), [this] { return drained_; });
  lock.unlock();
  if (drained) thread_.join();
}

}  // namespace conn_grpc::detail
