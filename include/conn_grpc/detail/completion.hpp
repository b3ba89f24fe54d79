// SPDX-License-Identifier: BSL-1.0
// What is posted to executors that may throw.
//
// execute(function) has moved the function by the time it throws, and unwinding destroys it. So a completion that is
// destroyed uncalled, by the thread that is just posting it, moves itself back to the stack frame that posts it:
// nothing is lost, and nothing is allocated. A serial number tells it whether that frame is still there.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <conn_grpc/detail/config.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

namespace conn_grpc::detail {

class posting_frame;

struct posting_thread {
  posting_frame* innermost = nullptr;
  std::uint64_t last_serial = 0;
};
// Defined in the library: the program and the library share it, since each may post what the other destroys.
CONN_GRPC_API extern constinit thread_local posting_thread this_posting_thread;
CONN_GRPC_API extern constinit std::atomic<std::uint64_t> posting_threads;

/// A stack frame that hands a completion to an executor.
class posting_frame {
 public:
  posting_frame() noexcept : serial_(next_serial()), outer_(this_posting_thread.innermost) {
    this_posting_thread.innermost = this;
  }
  ~posting_frame() { this_posting_thread.innermost = outer_; }
  posting_frame(const posting_frame&) = delete;
  posting_frame& operator=(const posting_frame&) = delete;

  /// Unique among the frames of all threads.
  [[nodiscard]] std::uint64_t serial() const noexcept { return serial_; }

  /// The frame of this thread with that serial; null when it is not there any more, or of another thread.
  static posting_frame* find(std::uint64_t serial) noexcept {
    auto* found = this_posting_thread.innermost;
    while (found != nullptr && found->serial_ != serial) found = found->outer_;
    return found;
  }

 private:
  static std::uint64_t next_serial() noexcept {
    auto& last = this_posting_thread.last_serial;
    if (last == 0) last = (posting_threads.fetch_add(1, std::memory_order_relaxed) + 1) << 40U;
    return ++last;
  }

  const std::uint64_t serial_;
  posting_frame* const outer_;
};

/// A handler with its arguments, posted to the executor on which it is called. Unlike the result of asio::append it
/// names no executor, so that Asio does not dispatch it again.
template <class Handler, class... Args>
class completion {
 public:
  using allocator_type = asio::associated_allocator_t<Handler>;

  explicit completion(Handler handler, Args... args) : handler_(std::move(handler)), args_(std::move(args)...) {}

  completion(completion&& other) noexcept
      : handler_(std::move(other.handler_)), args_(std::move(other.args_)), serial_(std::exchange(other.serial_, 0)) {}
  completion(const completion&)
    requires std::copy_constructible<Handler>  // for executors that keep a std::function
  = default;
  completion& operator=(const completion&) = delete;
  ~completion() {
    if (serial_ != 0) move_back();
  }

  allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler_); }
  [[nodiscard]] const Handler& handler() const noexcept { return handler_; }

  void operator()() {
    serial_ = 0;
    std::apply(std::move(handler_), std::move(args_));
  }

  /// Calls `hand_over(completion&&)`. When that throws, returns the completion; rethrows when the executor has kept or
  /// called it.
  template <class HandOver>
  [[nodiscard]] std::optional<completion> refused_by(HandOver hand_over) && {
    frame here;
    serial_ = here.serial();
    try {
      hand_over(std::move(*this));
    } catch (...) {
      if (serial_ != 0) move_back();  // it was not even moved
      if (here.returned) return std::move(here.returned);
      throw;
    }
    return std::nullopt;
  }

 private:
  struct frame : posting_frame {
    std::optional<completion> returned;
  };

  void move_back() noexcept {
    auto* const poster = static_cast<frame*>(posting_frame::find(serial_));
    if (poster == nullptr || poster->returned) return;
    poster->returned.emplace(std::move(*this));
    poster->returned->serial_ = 0;
  }

  Handler handler_;
  std::tuple<Args...> args_;
  std::uint64_t serial_ = 0;  // of the frame that hands it over; 0 when there is none, or once it was called
};

/// Returns the completion when the executor throws. An exception of an executor that has kept the completion is
/// dropped.
template <class Executor, class Completion>
[[nodiscard]] std::optional<Completion> try_post(const Executor& executor, Completion&& posted) {
  try {
    return std::move(posted).refused_by([&](Completion&& given) { asio::post(executor, std::move(given)); });
  } catch (...) {
    return std::nullopt;
  }
}

/// The same for an executor that may call it at once: an exception of the handler is passed on.
template <class Executor, class Completion>
[[nodiscard]] std::optional<Completion> try_dispatch(const Executor& executor, Completion&& dispatched) {
  return std::move(dispatched).refused_by([&](Completion&& given) { asio::dispatch(executor, std::move(given)); });
}

/// A completion that its executor has refused.
using refused_work = asio::any_completion_handler<void()>;

/// Posts refused work elsewhere.
class fallback {
 public:
  virtual void post(refused_work work) const noexcept = 0;

 protected:
  ~fallback() = default;
};

/// The system executor: the last resort, and the only one where there is no pool.
[[nodiscard]] CONN_GRPC_API const fallback& system_fallback() noexcept;

}  // namespace conn_grpc::detail
