// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/condition.hpp"

#include <cstddef>
#include <list>
#include <optional>
#include <utility>

namespace conn_grpc::runtime {

/// Limits how many attempts of a pool are under way at the same time. Further attempts
/// wait in a queue. All functions are for the strand.
///
/// Destructors do not notify the next attempt, because they also run when the execution
/// context is destroyed.
template <class Clock>
class attempt_limiter {
 public:
  /// The right to make one attempt. Call `notify_next()` after its destruction.
  class permit {
   public:
    permit() = default;
    explicit permit(attempt_limiter& of) : limiter_(&of) { ++of.under_way_; }
    permit(permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      std::swap(limiter_, other.limiter_);
      return *this;
    }
    ~permit() {
      if (limiter_) --limiter_->under_way_;
    }
    permit(const permit&) = delete;
    permit& operator=(const permit&) = delete;

    explicit operator bool() const { return limiter_ != nullptr; }

   private:
    attempt_limiter* limiter_ = nullptr;
  };

  /// A place in the queue for permits. The caller has it from its first `request()` on,
  /// until it has a permit or calls `leave()`.
  class place {
   public:
    /// @param waiting notified when the caller should request again.
    place(attempt_limiter& of, condition<Clock>& waiting) : limiter_(of), waiting_(waiting) {}
    ~place() { leave(); }
    place(const place&) = delete;
    place& operator=(const place&) = delete;

    /// Returns a permit, or an empty one when the caller has to wait.
    permit request() {
      auto& queue = limiter_.queue_;
      if (limiter_.most_ == 0) return permit(limiter_);
      if (!in_queue_) in_queue_ = queue.insert(queue.end(), &waiting_);
      if (limiter_.under_way_ >= limiter_.most_ || *in_queue_ != queue.begin()) return {};
      leave();
      permit granted(limiter_);
      limiter_.notify_next();
      return granted;
    }

    /// Gives up the place. Call `notify_next()` afterwards.
    void leave() {
      if (in_queue_) limiter_.queue_.erase(*in_queue_);
      in_queue_.reset();
    }

   private:
    attempt_limiter& limiter_;
    condition<Clock>& waiting_;
    std::optional<typename std::list<condition<Clock>*>::iterator> in_queue_;
  };

  /// @param most how many attempts may be under way. 0 means any number.
  explicit attempt_limiter(std::size_t most) : most_(most) {}

  /// Notifies the first attempt in the queue, if it may begin. Call it after a permit or a
  /// place in the queue was given up.
  void notify_next() {
    if (!queue_.empty() && under_way_ < most_) queue_.front()->notify();
  }

 private:
  const std::size_t most_;
  std::size_t under_way_ = 0;
  std::list<condition<Clock>*> queue_;
};

}  // namespace conn_grpc::runtime
