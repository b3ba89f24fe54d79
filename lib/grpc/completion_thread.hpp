// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace conn_grpc::detail {

/// gRPC as the library uses it, from the first attempt of the first pool until the last pool that was run has been
/// destroyed and no completion is pending. Nothing of gRPC's is alive before and after, unless the program uses gRPC
/// itself: a process may fork then.
struct grpc_session {
  grpc_session();

  /// When the last channel that has ever used gRPC's callback API is destroyed, gRPC 1.51 waits for its callback
  /// threads, hence for the user's callbacks (grpc#37858). From now on the keeper is such a channel.
  void keep_callback_threads();

  std::shared_ptr<::grpc::ChannelCredentials> insecure;
  /// Never connects. A channel that is made after the last one was destroyed makes gRPC 1.51 build a new event engine,
  /// and the process is aborted when no descriptor is free for it (as after a loss, with all descriptors in use).
  std::shared_ptr<::grpc::Channel> keeper;
  ::grpc::CompletionQueue queue;
  std::once_flag keeps_callback_threads;
};

/// What is waited for. Belongs to gRPC from its start until `complete()`, which is called exactly once.
class pending_completion {
 public:
  pending_completion() = default;
  virtual ~pending_completion() = default;
  pending_completion(const pending_completion&) = delete;
  pending_completion& operator=(const pending_completion&) = delete;

  /// On the completion thread: do little, and do not block.
  virtual void complete(bool ok) noexcept = 0;

 private:
  friend class completion_thread;
  std::shared_ptr<grpc_session> session_;  // while it is pending
};

/// The thread, one per process, on which gRPC reports what happened. Without a thread in Next(), gRPC's timers would
/// notice a lost connection after seconds (grpc#22898).
///
/// A session ends, and the thread with it, when it has no user and nothing is pending. Then its queue is empty, and the
/// thread ends without waiting for anything. A watch on a channel that a user of the library still holds cannot be
/// cancelled (grpc#21948): it is pending, and the session lives on.
///
/// Thread-safe.
class completion_thread {
 public:
  /// Says why there is no session.
  struct unavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  /// Starts nothing, and does not initialise gRPC. It prepares for forks and for the end of the process; so the
  /// constructor of a pool calls it, and at exit a pool in static storage is destroyed before the thread is awaited.
  static completion_thread& instance();

  /// The session, which lasts at least as long as it is shared. Starts one when there is none.
  /// @throws unavailable: no descriptors are free for gRPC, the thread cannot be started, or the process was forked
  /// while gRPC was in use.
  [[nodiscard]] std::shared_ptr<grpc_session> use();

  /// Calls `start(queue, tag)`, after which the tag will come back from the queue. The caller uses the session.
  /// @returns false, and destroys `what`, while the process is exiting.
  template <class Start>
  bool submit(std::unique_ptr<pending_completion> what, Start start) {
    auto session = current();
    if (!session) return false;
    auto& queue = session->queue;
    what->session_ = std::move(session);
    start(&queue, static_cast<void*>(what.release()));
    return true;
  }

  /// Calls `called` on the thread, after `delay`. The caller uses the session.
  /// @returns false while the process is exiting: it will not be called.
  bool call_later(std::chrono::milliseconds delay, std::function<void()> called);

 private:
  completion_thread();

  void run();
  [[nodiscard]] std::shared_ptr<grpc_session> current();
  void end(grpc_session& ending) noexcept;
  void join_if_ended(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds timeout);
  void at_exit();
  void before_fork();
  void after_fork_in_child();

  std::mutex mutex_;
  std::condition_variable ended_;
  std::weak_ptr<grpc_session> current_;
  std::list<std::unique_ptr<grpc_session>> sessions_;  // all but the last one are ending; the thread's, in turn
  std::thread thread_;
  bool running_ = false;  // the thread has sessions
  bool used_ = false;     // since the last fork
  std::atomic<bool> exiting_{false};
  const char* in_use_at_fork_ = nullptr;  // what was, while the process is being forked
  const char* forked_after_ = nullptr;    // what was, when this process was forked
};

}  // namespace conn_grpc::detail
