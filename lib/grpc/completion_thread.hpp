// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/closable.hpp"

#include <grpcpp/completion_queue.h>
#include <sys/types.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
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
  /// exiting: gRPC aborts when asked to watch on a queue that is shut down (grpc#38112). No mutex is held meanwhile,
  /// because gRPC may call the user's interceptors, and callbacks of other calls, from inside `start`. Thread-safe.
  template <class Start>
  void submit(std::unique_ptr<completion> what, Start start) {
    const runtime::closable<open_queue>::user in(open_);  // many may arm at once, but none while it shuts down
    if (in) start(in->get(), static_cast<void*>(what.release()));
  }

 private:
  struct shut_down_only {
    void operator()(::grpc::CompletionQueue* queue) const { queue->Shutdown(); }
  };
  using open_queue = std::unique_ptr<::grpc::CompletionQueue, shut_down_only>;

  completion_thread();
  void shut_down();

  std::mutex mutex_;
  std::condition_variable drained_changed_;
  bool drained_ = false;
  ::grpc::CompletionQueue queue_;
  runtime::closable<open_queue> open_{&queue_};
  std::thread thread_;  // not in processes that were forked
  const pid_t process_ = ::getpid();
};

}  // namespace conn_grpc::detail
