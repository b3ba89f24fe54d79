// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/completion_queue.h>
#include <sys/types.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

namespace conn_grpc::detail {

/// What is waited for. Belongs to gRPC from its start until `complete()`, which is called exactly once.
class completion {
 public:
  virtual ~completion() = default;

  /// On the completion thread: do little, and do not block.
  virtual void complete(bool ok) noexcept = 0;
};

/// The one thread per process that gRPC tells what happened. Without a thread in Next(), gRPC's timers would notice a
/// lost connection after seconds (grpc#22898).
///
/// It starts with the first use and ends with the process, because a watch on a channel that a user still holds cannot
/// be cancelled (grpc#21948): a queue that ended with its last pool could not be drained.
class completion_thread {
 public:
  static completion_thread& instance();

  /// Calls `start(queue, tag)`, after which the tag will come back from the queue. Does nothing once the process is
  /// exiting: gRPC aborts when asked to watch on a queue that is shut down (grpc#38112). Thread-safe.
  template <class Start>
  void submit(std::unique_ptr<completion> what, Start start) {
    const std::shared_lock lock(mutex_);  // many may arm at once, but none while it shuts down
    if (shut_down_) return;
    start(&queue_, static_cast<void*>(what.release()));
  }

 private:
  completion_thread();
  void shut_down();

  std::shared_mutex mutex_;
  std::condition_variable_any drained_changed_;
  bool shut_down_ = false;
  bool drained_ = false;
  ::grpc::CompletionQueue queue_;
  std::thread thread_;  // not in processes that were forked
  const pid_t process_ = ::getpid();
};

}  // namespace conn_grpc::detail
