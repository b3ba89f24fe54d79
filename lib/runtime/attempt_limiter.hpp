// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/condition.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

namespace conn_grpc::runtime {

/// Limits how many attempts of a pool are under way at the same time. First come, first
/// served. On the strand.
template <class Clock>
class attempt_limiter {
 public:
  /// The right to make one attempt, until it is destroyed.
  class permit {
   public:
    permit() = default;
    explicit permit(attempt_limiter& of) : limiter_(&of) { ++of.under_way_; }
    permit(permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      permit(std::move(other)).swap(*this);
      return *this;
    }
    ~permit() {
      if (limiter_) limiter_->end_attempt();
    }
    permit(const permit&) = delete;
    permit& operator=(const permit&) = delete;

    explicit operator bool() const { return limiter_ != nullptr; }

   private:
    void swap(permit& other) noexcept { std::swap(limiter_, other.limiter_); }

    attempt_limiter* limiter_ = nullptr;
  };

  /// @param most 0: any number.
  explicit attempt_limiter(std::size_t most) : most_(most) {}

  /// Returns an empty permit when the caller has to wait. Then `waiting` is notified when
  /// it should ask again.
  permit request(condition<Clock>& waiting) {
    const bool is_first = queue_.empty() || queue_.front() == &waiting;
    if (most_ != 0 && (under_way_ >= most_ || !is_first)) {
      if (std::ranges::find(queue_, &waiting) == queue_.end()) queue_.push_back(&waiting);
      return {};
    }
    if (!queue_.empty()) queue_.pop_front();
    permit granted(*this);
    notify_first();
    return granted;
  }

  /// The caller will not ask again.
  void leave(condition<Clock>& waiting) {
    std::erase(queue_, &waiting);
    notify_first();
  }

 private:
  void end_attempt() {
    --under_way_;
    notify_first();
  }
  void notify_first() {
    if (!queue_.empty() && under_way_ < most_) queue_.front()->notify();
  }

  const std::size_t most_;
  std::size_t under_way_ = 0;
  std::deque<condition<Clock>*> queue_;
};

}  // namespace conn_grpc::runtime
