// SPDX-License-Identifier: BSL-1.0
// What is posted to executors that may throw.
//
// execute(function) has moved the function by the time it throws, and unwinding destroys it. So a completion that is
// destroyed uncalled, by the thread that is just posting it, moves itself back to where the frame that posts it had it:
// nothing is lost, and nothing is allocated. A serial number tells it whether that frame is still there.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <conn_grpc/detail/config.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>

namespace conn_grpc::detail {

class posting_frame;

struct posting_thread {
  posting_frame* innermost = nullptr;
  std::uint64_t last_serial = 0;
};
// The library's: a program and the library, of which either may post what the other destroys, have one in common. Its
// model spares the library a call for each access.
CONN_GRPC_API [[gnu::tls_model("initial-exec")]] extern constinit thread_local posting_thread this_posting_thread;
CONN_GRPC_API extern constinit std::atomic<std::uint64_t> posting_threads;

/// A stack frame that hands a completion to an executor.
class posting_frame {
 public:
  posting_frame() noexcept
      : thread_(this_posting_thread), serial_(next_serial(thread_)), outer_(std::exchange(thread_.innermost, this)) {}
  ~posting_frame() { thread_.innermost = outer_; }
  posting_frame(const posting_frame&) = delete;
  posting_frame& operator=(const posting_frame&) = delete;

  /// No other frame has it, of whatever thread.
  [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

  /// The frame of this thread with that serial; null when it is not there any more, or of another thread.
  static posting_frame* find(std::uint64_t serial) noexcept {
    auto* found = this_posting_thread.innermost;
    while (found != nullptr && found->serial_ != serial) found = found->outer_;
    return found;
  }

 private:
  static std::uint64_t next_serial(posting_thread& thread) noexcept {
    auto& last = thread.last_serial;
    if (last == 0) last = (posting_threads.fetch_add(1, std::memory_order_relaxed) + 1) << 40U;
    return ++last;
  }

  posting_thread& thread_;
  const std::uint64_t serial_;
  posting_frame* const outer_;
};

/// A handler with its arguments, for where it is to be called: unlike what asio::append makes it names no executor, so
/// that Asio does not dispatch to one that it is on already. Nor does it name an allocator: see boxed_handler.hpp.
template <class Handler, class... Args>
class completion {
 public:
  template <class... Given>
  explicit completion(Handler&& handler, Given&&... args)
      : handler_(std::move(handler)), args_(std::forward<Given>(args)...) {}

  completion(completion&& other) noexcept
      : handler_(std::move(other.handler_)), args_(std::move(other.args_)), serial_(std::exchange(other.serial_, 0)) {}
  completion(const completion& other)
    requires std::copy_constructible<Handler>  // for executors that keep a std::function
      : handler_(other.handler_), args_(other.args_), serial_(other.serial_) {
    if (auto* const poster = frame::find(serial_)) ++poster->copies;
  }
  completion& operator=(const completion&) = delete;
  ~completion() {
    if (serial_ != 0) move_back();
  }

  [[nodiscard]] const Handler& handler() const noexcept { return handler_; }

  void operator()() {
    serial_ = 0;
    std::apply(std::move(handler_), std::move(args_));
  }

  /// Hands it over by calling `accept(completion&&)`. False when that throws: then this object is what it was before.
  /// Rethrows when the executor has kept or called it.
  template <class Accept>
  [[nodiscard]] bool hand_over(Accept accept) {
    frame here(*this);  // NOLINT(misc-const-correctness): others find it, and change it
    serial_ = here.serial();
    try {
      accept(std::move(*this));
    } catch (...) {
      const bool was_moved = std::exchange(serial_, 0) == 0;
      if (was_moved ? !here.has_it_back : here.copies > 1) throw;
      return false;
    }
    return true;
  }

 private:
  struct frame : posting_frame {
    explicit frame(completion& handed_over) noexcept : place(handed_over) {}
    static frame* find(std::uint64_t serial) noexcept {
      return serial == 0 ? nullptr : static_cast<frame*>(posting_frame::find(serial));
    }

    completion& place;
    int copies = 1;  // that have not been destroyed uncalled on this thread
    bool has_it_back = false;
  };

  // Unless the executor has another copy. Apart: the destructor is to stay small.
  [[gnu::noinline, gnu::cold]] void move_back() noexcept {
    auto* const poster = frame::find(std::exchange(serial_, 0));
    if (poster == nullptr || --poster->copies > 0) return;
    poster->has_it_back = true;
    std::destroy_at(&poster->place);
    std::construct_at(&poster->place, std::move(*this));
  }

  Handler handler_;
  std::tuple<Args...> args_;
  std::uint64_t serial_ = 0;  // of the frame that hands it over; 0 when there is none, or once it was called
};

/// False when the executor throws: then `posted` is what it was before. What an executor throws that has kept it is
/// dropped.
template <class Executor, class Completion>
[[nodiscard]] bool try_post(const Executor& executor, Completion& posted) noexcept {
  try {
    return posted.hand_over([&](Completion&& given) { asio::post(executor, std::move(given)); });
  } catch (...) {
    return true;
  }
}

/// The same for an executor that may call it at once: what the handler throws is thrown.
template <class Executor, class Completion>
[[nodiscard]] bool try_dispatch(const Executor& executor, Completion& dispatched) {
  return dispatched.hand_over([&](Completion&& given) { asio::dispatch(executor, std::move(given)); });
}

/// A completion that its executor has refused.
using refused_work = asio::any_completion_handler<void()>;

/// Where that is posted instead.
class fallback {
 public:
  virtual void post(refused_work work) const noexcept = 0;

 protected:
  ~fallback() = default;
};

/// The system executor: the last resort, and the only one where there is no pool.
[[nodiscard]] CONN_GRPC_API const fallback& system_fallback() noexcept;

}  // namespace conn_grpc::detail
