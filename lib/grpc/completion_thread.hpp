// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/call_into_grpc.hpp"
#include "grpc/callback_loop.hpp"

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

/// The time in which the library uses gRPC. It begins with the first attempt of the first
/// pool. It ends when the last pool that was run has been destroyed and no completion is
/// pending. Before it, and some milliseconds after it, nothing of gRPC's exists, unless the
/// program uses gRPC itself. So a process may fork then. A fork soon after it waits.
struct grpc_session {
  /// @param used the loop that polls the queue. Null: the thread does.
  explicit grpc_session(std::shared_ptr<callback_loop> used);

  /// gRPC 1.51 waits for its callback threads when the last channel that has used its
  /// callback API is destroyed (grpc#37858). So it waits for the user's callbacks. From
  /// now on the keeper is such a channel.
  void keep_callback_threads();

  /// Where gRPC's work runs. Null when gRPC has threads of its own.
  const std::shared_ptr<callback_loop> loop;
  std::shared_ptr<::grpc::ChannelCredentials> insecure;
  /// Never connects. Without it gRPC 1.51 builds a new event engine for a channel that is
  /// made after the last channel was destroyed. That aborts the process when no
  /// descriptor is free, as after a loss with all descriptors in use. Null with a loop.
  std::shared_ptr<::grpc::Channel> keeper;
  ::grpc::CompletionQueue queue;
  std::once_flag keeps_callback_threads;
  std::shared_ptr<void> threads_of_grpc;  // gRPC's engine; null with a loop, and with 1.51
  bool has_thread;                        // the thread polls the queue; changes with the mutex of the thread held
};

/// An object that may begin something in the session owns this, for example a pool. When the
/// last use has been destroyed, pending completions complete within moments.
struct grpc_session_use {
  std::shared_ptr<grpc_session> session;
};

/// A completion that is awaited. gRPC owns it from its start until `complete()`, which is
/// called exactly once.
class pending_completion {
 public:
  pending_completion() = default;
  virtual ~pending_completion() = default;
  pending_completion(const pending_completion&) = delete;
  pending_completion& operator=(const pending_completion&) = delete;

  /// Called on the completion thread: it must do little, and must not block.
  virtual void complete(bool ok) noexcept = 0;
  /// True when a part of an RPC, or another thread, may complete it. Changes of a channel's
  /// state, and times, do not need that.
  [[nodiscard]] virtual bool is_of_call() const noexcept { return false; }

 private:
  friend class completion_thread;
  std::shared_ptr<grpc_session> session_;  // while it is pending
};

/// The thread, one per process, on which gRPC reports completions. Without a thread in
/// Next(), gRPC's timers would notice a lost connection only after seconds (grpc#22898).
///
/// A session ends, and the thread with it, when it has no user and nothing is pending.
/// Its queue is empty then, so the thread ends without a wait. A watch cannot be
/// cancelled while a user of the library still holds its channel (grpc#21948). It stays
/// pending, and the session stays.
///
/// A session that begins inside of an event_engine_scope has no thread. gRPC's work is done
/// only in the scope's loop, so the loop polls the queue when something may have completed.
/// When the scope ends first, the session gets the thread.
///
/// Thread-safe.
class completion_thread {
 public:
  /// Thrown when there is no session. The text says why.
  struct unavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  /// Starts nothing, and does not initialise gRPC. It prepares for forks and for the end
  /// of the process, so the constructor of a pool calls it. Then, at exit, a pool in
  /// static storage is destroyed before the thread is awaited.
  static completion_thread& instance();

  /// The session, which exists at least as long as the result is held. Starts a session
  /// when there is none.
  /// @throws unavailable: no descriptors are free for gRPC, the thread cannot be started,
  /// or the process was forked while gRPC was in use.
  [[nodiscard]] std::shared_ptr<const grpc_session_use> use();

  /// Calls `start(queue, tag)`, after which the queue will return the tag. The caller
  /// holds the session.
  /// @returns false, and destroys `what`, while the process is exiting.
  template <class Start>
  bool submit(std::unique_ptr<pending_completion> what, Start start) {
    auto session = current();
    if (!session) return false;
    auto& queue = session->queue;
    const auto loop = session->loop;
    const bool is_of_call = what->is_of_call();
    if (is_of_call) pending_calls_.fetch_add(1, std::memory_order_relaxed);
    what->session_ = std::move(session);
    {
      const call_into_grpc calls;
      start(&queue, static_cast<void*>(what.release()));
    }
    if (loop) poll_soon_in(*loop);
    return true;
  }

  /// Calls `called` on the thread, after `delay`. The caller holds the session.
  /// @returns false, and does not call `called`, without a session, for example while the
  /// process is exiting.
  bool call_later(std::chrono::milliseconds delay, std::function<void()> called);

  /// Calls `called`, and destroys it, on a thread that is not gRPC's: on the completion
  /// thread, or without a session on a thread of Asio's system executor. For a callback of
  /// gRPC's that may be the last owner of a channel: the channel's destructor waits for gRPC's
  /// callback threads.
  void call_off_grpc_threads(std::function<void()> called);

  /// The caller may have made gRPC complete something pending, for example by cancelling it.
  /// Without a thread, the loop polls the queue soon.
  void poll_soon();

  /// What may arrive in queues that have no thread.
  [[nodiscard]] awaited_completions awaited_without_thread() const noexcept;
  /// Completes what has arrived there.
  void poll() noexcept;
  /// Those queues get the thread.
  void loop_has_ended();

 private:
  completion_thread();

  void run();
  void complete(void* tag, bool ok);
  static void poll_soon_in(callback_loop& loop);
  void poll_queues();
  [[nodiscard]] grpc_session* first_with_thread() const;
  [[nodiscard]] std::unique_ptr<grpc_session> take(grpc_session& ended);
  void await_threads_of_grpc(std::shared_ptr<void> threads) noexcept;
  void run_thread();
  [[nodiscard]] std::shared_ptr<grpc_session> current();
  [[nodiscard]] std::shared_ptr<grpc_session> begin();
  [[nodiscard]] bool is_grpc_alive() const;
  void end(grpc_session& ending) noexcept;
  void join_if_ended(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds timeout);
  void at_exit();
  void before_fork();
  void after_fork_in_child();

  std::mutex mutex_;
  std::condition_variable ended_;
  std::weak_ptr<grpc_session> current_;
  std::weak_ptr<const grpc_session_use> use_;          // of the current session
  std::weak_ptr<void> threads_of_grpc_;                // gRPC's engine, of the last session that has the thread
  std::list<std::unique_ptr<grpc_session>> sessions_;  // all but the last are ending; the thread serves the first
  std::thread thread_;
  bool running_ = false;  // the thread has sessions
  bool used_ = false;     // the session was used since the last fork
  std::atomic<bool> exiting_{false};
  std::atomic<int> awaited_threads_{0};  // engines of gRPC, each awaited by a detached thread
  std::atomic<int> without_thread_{0};   // sessions
  std::atomic<int> pending_calls_{0};
  std::atomic<int> polls_requested_{0};
  const char* in_use_at_fork_ = nullptr;  // what was in use, while the process is being forked
  const char* forked_after_ = nullptr;    // what was in use when this process was forked
};

}  // namespace conn_grpc::detail
