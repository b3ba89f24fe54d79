// SPDX-License-Identifier: BSL-1.0
// Functions that are posted to executors that may throw.
//
// When execute(function) throws, it has already moved the function, and unwinding
// destroys it. So a completion may be destroyed without a call, by the thread that is
// just posting it. It then moves itself back to its place in the frame that posts it.
// Nothing is lost, and nothing is allocated. By a serial number it recognizes whether
// that frame still exists.
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
// The variable is the library's. A program and the library share it, because either may
// post what the other destroys. The model saves the library a function call for each
// access.
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

  /// Unique among the frames of all threads.
  [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

  /// Returns the frame of this thread with that serial number. Null if it does not exist
  /// any more, or belongs to another thread.
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

/// A handler with its arguments, for the executor that calls it. It names no executor,
/// unlike the result of asio::append. Otherwise Asio would dispatch it to that executor,
/// on which it already runs. It names no allocator either: see boxed_handler.hpp.
template <class Handler, class... Args>
class completion {
 public:
  template <class... Given>
  explicit completion(Handler&& handler, Given&&... args)
      : handler_(std::move(handler)), args_(std::forward<Given>(args)...) {}

  completion(completion&& other) noexcept
      : handler_(std::move(other.handler_)), args_(std::move(other.args_)), serial_(std::exchange(other.serial_, 0)) {}
  completion(const completion& other)
    requires std::copy_constructible<Handler>  // for executors that store a std::function
      : handler_(other.handler_), args_(other.args_), serial_(other.serial_) {
    if (auto* const poster = frame::find(serial_)) ++poster->copies;
  }
  completion& operator=(const completion&) = delete;
  completion& operator=(completion&&) = delete;
  ~completion() {
    if (serial_ != 0) move_back();
  }

  [[nodiscard]] const Handler& handler() const noexcept { return handler_; }

  void operator()() {
    serial_ = 0;
    std::apply(std::move(handler_), std::move(args_));
  }

  /// Hands the completion over by calling `accept(completion&&)`. Returns false if
  /// `accept` throws: the object is then unchanged. Rethrows if the executor has kept or
  /// called the completion.
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
    int copies = 1;  // except those that this thread has destroyed without a call
    bool has_it_back = false;
  };

  // Does nothing if the executor has another copy. A function of its own, so that the
  // destructor stays small.
  [[gnu::noinline, gnu::cold]] void move_back() noexcept {
    auto* const poster = frame::find(std::exchange(serial_, 0));
    if (poster == nullptr || --poster->copies > 0) return;
    poster->has_it_back = true;
    std::destroy_at(&poster->place);
    std::construct_at(&poster->place, std::move(*this));
  }

  Handler handler_;
  std::tuple<Args...> args_;
  std::uint64_t serial_ = 0;  // of the frame that hands it over; 0 if there is none, or after the call
};

/// Posts the completion. Returns false if the executor throws: `posted` is then
/// unchanged. Ignores an exception of an executor that has kept the completion.
template <class Executor, class Completion>
[[nodiscard]] bool try_post(const Executor& executor, Completion& posted) noexcept {
  try {
    return posted.hand_over([&](Completion&& given) { asio::post(executor, std::move(given)); });
  } catch (...) {
    return true;
  }
}

/// Dispatches the completion, so the executor may call it at once. Returns false if the
/// executor throws: `dispatched` is then unchanged. Throws what the handler throws.
template <class Executor, class Completion>
[[nodiscard]] bool try_dispatch(const Executor& executor, Completion& dispatched) {
  return dispatched.hand_over([&](Completion&& given) { asio::dispatch(executor, std::move(given)); });
}

/// A completion that its executor has refused.
using refused_work = asio::any_completion_handler<void()>;

/// Where a completion is posted that its executor has refused.
class fallback {
 public:
  virtual void post(refused_work work) const noexcept = 0;

 protected:
  ~fallback() = default;
};

/// Returns the system executor, for handlers that belong to no pool.
[[nodiscard]] CONN_GRPC_API const fallback& system_fallback() noexcept;

}  // namespace conn_grpc::detail
