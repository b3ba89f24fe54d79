// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/jitter.hpp"
#include "runtime/deadline.hpp"
#include "runtime/retry_rule.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace conn_grpc::runtime {

/// Why a connection is replaced while gets return it.
struct replacement_reason {
  std::string why;
  bool is_suspect = false;  // the connection is withdrawn even if the attempt fails
};

/// Decides when and why a connection is replaced while gets return it. Reasons are its
/// maximum age, a wish of the user's, and an earlier attempt that failed.
/// docs/design/replacement.md explains the rule. All functions are for the strand.
template <class Clock>
class replacement_plan {
 public:
  using time_point = typename Clock::time_point;

  replacement_plan(std::chrono::milliseconds max_age, std::chrono::milliseconds stable_after)
      : max_age_(max_age), stable_after_(stable_after) {}

  /// A new connection is published. Earlier wishes do not apply to it.
  void begin(time_point connected_at) {
    connected_at_ = connected_at;
    earliest_ = connected_at;
    due_ = end_of_age(connected_at);
    reason_ = {.why = "max_connection_age"};
    wish_.reset();
  }

  /// The user wishes a replacement. A suspicion is kept when another wish follows.
  void wish(std::string_view why, bool is_suspect) {
    if (!wish_ || !wish_->is_suspect) wish_ = {.why = std::string(why), .is_suspect = is_suspect};
  }

  /// The attempt to replace the connection has failed.
  /// @param delay of the backoff.
  /// @return when the next attempt begins.
  time_point attempt_failed(std::chrono::milliseconds delay) {
    due_ = earliest_ = deadline_after<Clock>(delay);
    return due_;
  }

  /// When the caller should call `due` again, unless another wish comes first.
  [[nodiscard]] time_point next_check() const { return wish_ ? earliest_ : (std::max)(due_, earliest_); }

  /// Returns why the connection is to be replaced now, or nothing. A suspect connection that
  /// is younger than `stable_after` is replaced at most twice in that time.
  [[nodiscard]] std::optional<replacement_reason> due(retry_rule<Clock>& pace) {
    const auto now = Clock::now();
    if (now < next_check()) return std::nullopt;
    if (!wish_) return reason_;
    const bool is_young = now - connected_at_ < stable_after_;
    if (wish_->is_suspect && is_young && !pace.begins_now(retry::paced)) {
      earliest_ = deadline_after<Clock>(stable_after_ / 2);
      return std::nullopt;
    }
    reason_ = *wish_;
    wish_.reset();
    return reason_;
  }

 private:
  [[nodiscard]] time_point end_of_age(time_point connected_at) const {
    constexpr auto never = (time_point::max)();
    constexpr auto longest = std::chrono::years(100);  // fits into nanoseconds
    if (max_age_.count() == 0 || max_age_ > longest) return never;
    const auto left = core::with_jitter(max_age_);
    return left < never - connected_at ? connected_at + left : never;
  }

  const std::chrono::milliseconds max_age_;
  const std::chrono::milliseconds stable_after_;
  time_point connected_at_;
  time_point earliest_;                     // no attempt begins before
  time_point due_;                          // when it is replaced without a wish
  replacement_reason reason_;               // why it is replaced then
  std::optional<replacement_reason> wish_;  // the user's
};

}  // namespace conn_grpc::runtime
