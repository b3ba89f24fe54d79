// SPDX-License-Identifier: BSL-1.0
// What the rest of the library knows of an event_engine_scope. A library that was built
// without the engine compiles the same code, and never has a loop.
#pragma once

#include "core/dispatch_permission.hpp"

#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace conn_grpc::detail {

/// A completion that waits until gRPC's callback has returned.
class deferred_completion {
 public:
  /// Called once. What it throws, the user's handler has thrown.
  virtual void complete_deferred() = 0;

 protected:
  deferred_completion() = default;
  deferred_completion(const deferred_completion&) = default;
  deferred_completion& operator=(const deferred_completion&) = default;
  ~deferred_completion() = default;
};

/// What may arrive in the library's completion queue. Changes of channels arrive only in turns with
/// control work or timers. Parts of RPCs may arrive in any turn.
enum class awaited_completions { none, changes, changes_and_calls };

/// Where gRPC's callbacks run, and its timers and sockets wait, while an
/// event_engine_scope exists: in the user's io_context.
///
/// *Thread safety*: all functions.
class callback_loop {
 public:
  callback_loop(const callback_loop&) = delete;
  callback_loop& operator=(const callback_loop&) = delete;

  /// Calls `task` soon in the loop, and never inside this function.
  virtual void call(std::function<void()> task) = 0;
  virtual void call_later(std::chrono::milliseconds delay, std::function<void()> task) = 0;

  /// Of the scope that exists. Null without a scope: then gRPC has threads of its own.
  static std::shared_ptr<callback_loop> current();

  /// Completes `deferred` as soon as the callback of gRPC's that runs on this thread has
  /// returned. Returns false, and does nothing, when this thread does not run the loop.
  static bool after_callback(const std::shared_ptr<deferred_completion>& deferred);

  /// True when `after_callback` would return true.
  static bool is_in_turn() noexcept { return turn::of_this_thread() != nullptr; }

  /// Calls `task` in a turn of its own, behind the handlers that are ready in the context.
  /// @param task Called once. Its argument is false in that turn. If the loop ends before that
  /// turn, `task` is called then, and its argument is true.
  /// @return false, if this thread runs no turn of a context. Then `task` is not called.
  static bool call_behind(std::function<void(bool is_last)> task);

  /// Notifies the current loop that a thread has called into gRPC, as `report_next` of
  /// `call_into_grpc` has requested.
  static void call_has_begun() noexcept;

  /// While it exists, this thread waits for gRPC. If it is a thread of the loop, another
  /// thread runs gRPC's work meanwhile.
  class waiting {
   public:
    waiting();
    ~waiting();
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;

   private:
    const std::shared_ptr<callback_loop> loop_ = current();
  };

 protected:
  callback_loop() = default;
  ~callback_loop() = default;

  /// The thread's innermost turn of a loop.
  class turn {
   public:
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

    virtual void defer(const std::shared_ptr<deferred_completion>& deferred) = 0;
    virtual bool call_behind(std::function<void(bool is_last)>&& task) = 0;

    static turn* of_this_thread() noexcept { return innermost; }

   protected:
    /// @param context Of the loop. Null on the thread that stands in for it.
    explicit turn(const boost::asio::execution_context* context) noexcept;
    ~turn();

    /// The next handler of the context that this thread completes may be called in this turn.
    void allow_dispatch() noexcept { core::dispatch_permission::allow(context_); }
    static void forbid_dispatch() noexcept { core::dispatch_permission::forbid(); }

   private:
    [[gnu::tls_model("initial-exec")]] inline static constinit thread_local turn* innermost = nullptr;

    const boost::asio::execution_context* const context_;
    turn* const outer_;
    const core::dispatch_permission permission_;
  };

  /// Makes it the current loop, or with null ends that.
  static void set_current(std::shared_ptr<callback_loop> loop);
  /// Channels that are made from now on have gRPC's own engine, and what has used the loop
  /// needs a thread for them.
  static void has_ended();

  // The library's completion queue, which has no thread while there is a loop.

  [[nodiscard]] static awaited_completions awaited() noexcept;
  /// Completes what has arrived.
  static void poll_completions() noexcept;

 private:
  virtual void call_begins() noexcept = 0;
  virtual void begin_waiting() noexcept = 0;
  virtual void end_waiting() noexcept = 0;
};

}  // namespace conn_grpc::detail
