// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/jitter.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/deadline.hpp"
#include "runtime/look_up_report.hpp"
#include "runtime/resolver.hpp"
#include "runtime/strand.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Looks up the addresses of the pool's name, at once and then after each interval. The
/// next look-up begins earlier after a `request()`, and after a failed look-up. Between
/// such look-ups there is a pause of a second. The pause doubles each time, up to half a
/// minute. It is a second again after a look-up that found other addresses, and after an
/// interval without a request. No pause is longer than the interval. All functions are for
/// the strand, except `failure()`.
template <class Clock>
class address_refresh {
 public:
  /// @param begin_look_up begins a look-up. The caller passes its result to `ended`.
  /// @param apply called with the addresses of each look-up that succeeded.
  address_refresh(const checked_pool_options& options, std::function<void()> begin_look_up,
                  std::function<void(const std::vector<std::string>&)> apply)
      : interval_(options.resolve_interval),
        begin_look_up_(std::move(begin_look_up)),
        apply_(std::move(apply)),
        report_(options) {}

  strand_awaitable<> run() {
    while (!stopping_) {
      is_wanted_ = false;
      begin_look_up_();
      while (!stopping_ && !ended_) co_await changed_.wait();  // a look-up that hangs does not delay stop()
      if (const auto found = std::exchange(ended_, {}); found && !stopping_) take(*found);
      while (!stopping_ && Clock::now() < next()) co_await changed_.wait_until(next());
      if (!is_wanted_) pause_ = shortest();
    }
  }

  /// A look-up has ended.
  void ended(resolution found) {
    ended_ = std::move(found);
    changed_.notify();
  }

  /// Asks for an earlier look-up, because the server of an address may be gone.
  void request() {
    is_wanted_ = true;
    changed_.notify();
  }

  void stop() {
    stopping_ = true;
    changed_.notify();
  }

  /// The failure of the last look-up, as in look_up_report. Thread-safe.
  [[nodiscard]] std::string failure() const { return report_.failure(); }

 private:
  using time_point = typename Clock::time_point;

  void take(resolution found) {
    if (found.failure.empty()) {
      std::ranges::sort(found.addresses);
      const bool is_change = found.addresses != addresses_;
      if (is_change) pause_ = shortest();
      report_.found(found, is_change);
      addresses_ = std::move(found.addresses);
      apply_(addresses_);
    } else {
      report_.failed(found, !addresses_.empty());
      is_wanted_ = true;
    }
    planned_ = deadline_after<Clock>(core::with_jitter(interval_));
    earliest_ = (std::min)(planned_, deadline_after<Clock>(core::with_jitter(pause_)));
    pause_ = (std::min)({pause_ * 2, longest_pause, interval_});
  }

  /// When the next look-up begins.
  [[nodiscard]] time_point next() const { return is_wanted_ ? earliest_ : planned_; }

  [[nodiscard]] std::chrono::milliseconds shortest() const { return (std::min)(shortest_pause, interval_); }

  static constexpr std::chrono::milliseconds shortest_pause{1'000};
  static constexpr std::chrono::milliseconds longest_pause{30'000};

  const std::chrono::milliseconds interval_;
  const std::function<void()> begin_look_up_;
  const std::function<void(const std::vector<std::string>&)> apply_;
  look_up_report report_;
  std::vector<std::string> addresses_;  // of the last look-up that succeeded; sorted
  std::optional<resolution> ended_;     // the look-up has ended
  bool is_wanted_ = false;
  std::chrono::milliseconds pause_ = shortest();
  time_point planned_{};   // the next look-up, unless it is wanted earlier
  time_point earliest_{};  // the next look-up if it is wanted
  condition<Clock> changed_;
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
