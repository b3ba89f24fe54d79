// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/task.hpp"
#include "engine/timer_queue.hpp"
#include "engine/write_gathering.hpp"
#include "grpc/callback_loop.hpp"
#include "runtime/shutdown_registry.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace conn_grpc::engine {

namespace asio = boost::asio;

/// What runs gRPC's work in an io_context, and the thread that stands in for the context
/// when that cannot.
///
/// *The turn.* Each handler of the engine that the context calls is a turn. It calls one
/// callback of gRPC's, then what gRPC has asked to run, up to a limit, then it sends what
/// was written meanwhile. gRPC's functions never call these: `run` only queues.
///
/// *The stand-in thread.* It sleeps, except in four cases:
/// - A closure has waited for some milliseconds. gRPC uses closures for its control work,
///   like changes of a channel's state, and never for callbacks of the user's. A thread of
///   the context may be inside of gRPC, in a retry that ends only when such a closure has
///   run. So the stand-in thread runs it.
/// - A thread has been inside of one call into gRPC for tens of milliseconds. It may be in a
///   retry that ends only when the loss of a connection is reported, or its deadline has passed. So
///   the stand-in thread reads, writes, and calls timers and functions.
/// - A thread of the library's waits for gRPC, and may be the context's only one. So the stand-in
///   thread does all of the context's work.
/// - The loop is detached: the scope has ended, or the context is being destroyed. gRPC
///   may still have to end what it has begun.
///
/// *The completion queue* of the library has no thread in a scope. A turn polls it at its end when
/// completions may have arrived, so that the pool withdraws a lost channel at once. Turns of new
/// connections do not: they post one poll for all of them.
///
/// *Work.* What gRPC waits for does not keep io_context::run() from returning. An RPC of
/// the library does, because its handler is outstanding work.
///
/// *Thread safety*: all functions. No mutex is held while gRPC is called.
class event_loop final : public detail::callback_loop,
                         public runtime::shutdown_listener,
                         public std::enable_shared_from_this<event_loop> {
 public:
  using clock = std::chrono::steady_clock;

  /// An object that uses the context until the loop is detached.
  class user {
   public:
    /// Releases all of Asio's objects, and ends what gRPC waits for. The loop calls it
    /// once, when it is detached.
    virtual void detached() noexcept = 0;
    /// Begins an operation of Asio's. Called by a thread of the context, inside of a turn,
    /// once for each call of `begin_in_context`.
    virtual void begin() noexcept {}
    /// Sends what was put off. Called once for each `will_flush` that was true, by any thread.
    virtual void flush() {}
    /// Reads and writes what can be read and written now, also what was put off. Called by the
    /// stand-in thread, from time to time while the context may not run.
    virtual void try_again() {}

   protected:
    user() = default;
    user(const user&) = default;
    user& operator=(const user&) = default;
    ~user() = default;
  };

  /// An entry in the list of users, until it is destroyed.
  class registration : public boost::intrusive::list_base_hook<> {
   public:
    /// @param entered false when the loop was detached before.
    registration(std::shared_ptr<event_loop> loop, std::weak_ptr<user> entered);
    ~registration();
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;

   private:
    friend class event_loop;
    const std::shared_ptr<event_loop> loop_;
    const std::weak_ptr<user> user_;
  };

  /// @param busy_poll How long the context polls after each send. With zero it does not poll.
  event_loop(asio::io_context& context, clock::duration busy_poll);
  ~event_loop();

  /// Starts the stand-in thread.
  /// @throws std::system_error
  void start();

  /// From now on the library uses it. Null: no loop any more.
  static void make_current(std::shared_ptr<callback_loop> loop) { set_current(std::move(loop)); }
  /// What the library began in the loop goes on without it.
  static void hand_over() { has_ended(); }
  /// Calls `called` once, when it is detached. Call it before that.
  void when_detached(std::function<void()> called) { when_detached_ = std::move(called); }

  /// Control work of gRPC's: it calls no function of the user's, so the stand-in thread may
  /// run it, too.
  void run_control(task control);
  /// What may call functions of the user's.
  void run(task::function called);
  timer_handle run_after(clock::duration delay, task what);
  bool cancel(timer_handle handle);

  /// Calls `begin()` of that user in a thread of the context: at once, if this is one.
  void begin_in_context(std::shared_ptr<user> caller);
  /// When more may be written before long, calls `flush()` of that user then, and returns
  /// true. When it returns false, it is best to write at once.
  [[nodiscard]] bool will_flush(const std::shared_ptr<user>& caller);

  /// Call it when bytes have left: the context polls for `busy_poll`.
  void has_sent() noexcept;
  /// Call it in a turn of a new connection. This turn does not poll the completion queue at its
  /// end: one posted poll serves all such turns that are ready.
  void share_completion_poll() const;

  /// What a turn is for: something that has happened, what is queued, a task of `call_behind` or
  /// the posted poll of the completion queue, or what the context does not come to.
  enum class turn_kind { event, queued, behind, stand_in };

  /// Calls `called` in a turn of this thread. A handler of the engine does nothing else.
  template <class Function>
  void in_turn(Function called, turn_kind its_kind = turn_kind::event);

  /// Initiates an operation of Asio's that does not count as work of the context. This
  /// thread is one of the context's, so the count does not become 0 here.
  /// @param initiate Called with a function that wraps the handler.
  template <class Initiate>
  static void initiate_uncounted(asio::io_context& context, Initiate initiate) {
    initiate([&context](auto handler) {
      return [&context, handler = std::move(handler)](auto... results) mutable {
        context.get_executor().on_work_started();  // Asio counts it down after the handler
        handler(results...);
      };
    });
    context.get_executor().on_work_finished();
  }

  /// The number of callbacks that `run` has queued since the loop began.
  [[nodiscard]] std::uint64_t callbacks_ever_queued() const noexcept {
    return callbacks_ever_queued_.load(std::memory_order_relaxed);
  }

  /// True on a thread that runs the context, and on the stand-in thread.
  [[nodiscard]] bool is_worker() const;
  /// Null once detached.
  [[nodiscard]] asio::io_context* context() const noexcept { return context_; }

  /// Ends all that uses the context. Later, the stand-in thread runs what gRPC asks for.
  void detach() noexcept;
  /// Waits until nothing is queued and no turn but this thread's runs, but not for longer
  /// than `limit`.
  void settle(std::chrono::milliseconds limit);
  /// gRPC does not use the engine any more. The stand-in thread ends.
  void end() noexcept;
  /// After `end()`: waits for the stand-in thread.
  void join();

  // As callback_loop.
  void call(std::function<void()> called) override;
  void call_later(std::chrono::milliseconds delay, std::function<void()> called) override;

  // As shutdown_listener.
  void context_going() noexcept override;
  void context_gone() noexcept override { detach(); }

 private:
  class turn_here;

  void call_begins() noexcept override;
  void begin_waiting() noexcept override;
  void end_waiting() noexcept override;

  // With the mutex held.
  void notice_thread();
  void request_turn();
  void arm_timer();
  [[nodiscard]] bool wakes_stand_in(bool is_control) const;
  [[nodiscard]] std::optional<task> take_control();
  [[nodiscard]] std::optional<task> take_callback();
  [[nodiscard]] std::size_t count_tasks() const { return control_.size() + callbacks_.size(); }
  [[nodiscard]] bool has_tasks() const { return !control_.empty() || !callbacks_.empty(); }
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] bool stands_in_for_all() const { return context_ == nullptr || waiting_ > 0; }

  /// @returns whether the turn should put its writes off.
  [[nodiscard]] bool begin_turn(turn_kind its_kind);
  void end_turn();
  void continue_busy_poll();
  /// @returns false when there is no memory, or the stand-in thread does all work.
  [[nodiscard]] bool post_completion_poll() noexcept;
  void run_completion_poll();
  void call_next_behind();
  void end_all_behind();
  void call_due_timers(turn_here& here);
  void stand_in();
  void stand_in_for_all(std::unique_lock<std::mutex>& lock);
  void try_all_again(std::unique_lock<std::mutex>& lock);
  void stand_in_for_control(std::unique_lock<std::mutex>& lock);
  void watch_for_stuck_threads();
  void check_for_stuck_threads(std::unique_lock<std::mutex>& lock);
  void call_next(std::unique_lock<std::mutex>& lock, bool is_control);
  template <class Function>
  void in_stand_in_turn(std::unique_lock<std::mutex>& lock, Function called);

  mutable std::mutex mutex_;
  std::condition_variable stand_in_wakes_;
  std::condition_variable settled_;
  std::atomic<asio::io_context*> context_;  // null once detached; changes with the mutex held
  std::optional<asio::steady_timer> timer_;
  std::optional<runtime::shutdown_registration> registration_;
  std::function<void()> when_detached_;  // empty when gRPC's callbacks are another engine's
  boost::intrusive::list<registration, boost::intrusive::constant_time_size<false>> users_;

  std::deque<task> control_;    // closures
  std::deque<task> callbacks_;  // all else, also the user's callbacks
  std::atomic<std::size_t> callback_count_{0};
  std::atomic<std::uint64_t> callbacks_ever_queued_{0};
  std::deque<std::function<void(bool)>> behind_;  // of call_behind; a handler is posted for each
  std::vector<std::shared_ptr<user>> beginning_;
  std::vector<std::shared_ptr<user>> flushing_;  // in the turn that is posted, or by the stand-in thread
  write_gathering gathering_;
  timer_queue<task, clock::time_point> timers_;
  std::optional<clock::time_point> armed_for_;

  const clock::duration busy_poll_;
  clock::time_point busy_poll_until_{};
  bool busy_poll_posted_ = false;

  bool completion_poll_posted_ = false;

  int posted_turns_ = 0;
  int running_turns_ = 0;
  std::uint64_t control_taken_ = 0;
  std::uint64_t callbacks_taken_ = 0;
  std::thread::id first_thread_;
  bool turns_overlap_ = false;  // or may: several threads run the context, or handlers of turns do

  std::atomic<int> waiting_{0};  // threads of the library's that wait for gRPC; changes with the mutex held
  bool stand_in_sleeps_ = true;
  bool stand_in_checks_ = false;  // from time to time, whether a thread is stuck
  clock::time_point next_check_{};
  std::uint64_t taken_at_check_ = 0;
  bool ended_ = false;
  std::thread stand_in_thread_;
};

/// A turn on this thread.
class event_loop::turn_here final : public detail::callback_loop::turn {
 public:
  turn_here(event_loop& loop, turn_kind its_kind);
  ~turn_here();

  /// Null when this thread has no turn of that loop, or stands in.
  static turn_here* in_context_of(const event_loop& loop) noexcept;
  [[nodiscard]] bool is_of(const event_loop& loop) const noexcept { return &loop_ == &loop; }

  void defer(const std::shared_ptr<detail::deferred_completion>& deferred) override { deferred_.push_back(deferred); }
  bool call_behind(std::function<void(bool)>&& task) override;
  [[nodiscard]] bool will_flush(const std::shared_ptr<user>& caller);
  /// The connections that this turn has not flushed yet.
  [[nodiscard]] std::vector<std::shared_ptr<user>> take_unflushed();

  void call(task& called, bool is_control);
  /// Calls tasks, and completes what they have deferred, until there are none, or the limit is
  /// reached. Throws what a handler throws.
  void call_tasks();
  void has_called_timers() noexcept { was_more_than_io_ = true; }
  void share_completion_poll() noexcept { shares_completion_poll_ = true; }
  /// True once the stand-in thread does the work instead.
  [[nodiscard]] bool is_over() const { return kind_ != turn_kind::stand_in && loop_.context_ == nullptr; }

 private:
  [[nodiscard]] bool call_next_task();
  [[nodiscard]] bool complete_next();
  void finish();
  void poll_completions_after_turn();
  void flush();
  void complete_elsewhere();

  event_loop& loop_;
  const turn_kind kind_;
  const bool puts_writes_off_;
  bool was_more_than_io_ = false;
  bool may_have_written_ = false;
  bool shares_completion_poll_ = false;
  std::vector<std::shared_ptr<detail::deferred_completion>> deferred_;
  std::size_t next_deferred_ = 0;
  std::vector<std::shared_ptr<user>> to_flush_;  // at the end of this turn
  std::size_t next_to_flush_ = 0;
};

template <class Function>
void event_loop::in_turn(Function called, turn_kind its_kind) {
  turn_here here(*this, its_kind);
  called();
  here.call_tasks();
}

}  // namespace conn_grpc::engine
