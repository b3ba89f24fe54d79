// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"
#include "runtime/member.hpp"

#include <conn_grpc/telemetry.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace spdlog {
class logger;
}

namespace conn_grpc::runtime {

/// What telemetry is to know about one call of a client. Made only while a handler is
/// attached. Reports the call once: its last owner does so, unless `emit` was called before.
///
/// It may outlive the pool and the execution context. So it keeps no options of the pool:
/// function objects of the user's are among them.
///
/// *Thread safety*: Any thread may own it, and call `emit` once the call has ended. The
/// other calls follow one another.
template <class Clock>
class call_report {
 public:
  using time_point = typename Clock::time_point;

  /// The call begins.
  /// @param method lives as long as the process.
  call_report(const checked_pool_options& options, std::string_view method)
      : telemetry_(options.telemetry),
        logger_(options.logger),
        name_(options.name),
        is_of_pool_(options.is_pool()),
        method_(method) {}

  ~call_report() { emit(); }
  call_report(const call_report&) = delete;
  call_report& operator=(const call_report&) = delete;

  [[nodiscard]] static bool is_wanted(const checked_pool_options& options) noexcept {
    return options.telemetry->wants(event::call_ended);
  }

  /// The call waits for a channel, until `wait_ended`.
  void waits() { waits_since_ = Clock::now(); }
  void wait_ended() noexcept {
    if (const auto since = std::exchange(waits_since_, std::nullopt)) waited_ += Clock::now() - *since;
  }

  /// An RPC begins.
  /// @param over null when the user's mock returned the channel.
  void attempt(std::shared_ptr<const channel_identity> over) noexcept {
    ++attempts_;
    channel_ = std::move(over);
  }

  /// The call has ended, if it is not abandoned.
  void ended(grpc::StatusCode code, std::string_view text) {
    code_ = code;
    ended_ = Clock::now();
    error_ = text;
  }

  void emit() noexcept {
    if (is_emitted_.exchange(true)) return;
    wait_ended();
    telemetry_event happened{.name = event::call_ended,
                             .duration = (ended_ ? *ended_ : Clock::now()) - begun_,
                             .error = error_,
                             .method = method_,
                             .status_code = code_,
                             .attempts = attempts_,
                             .waited = waited_};
    if (channel_) {
      happened.channel_name = channel_->name;
      happened.address = channel_->address;
    }
    (is_of_pool_ ? happened.pool_name : happened.channel_name) = name_;
    telemetry_->emit(happened, logger_.get());
  }

 private:
  const std::shared_ptr<telemetry> telemetry_;
  const std::shared_ptr<spdlog::logger> logger_;
  const std::string name_;
  const bool is_of_pool_;
  const std::string_view method_;
  const time_point begun_ = Clock::now();
  std::optional<time_point> waits_since_;
  typename Clock::duration waited_{};
  int attempts_ = 0;
  std::shared_ptr<const channel_identity> channel_;  // of the last attempt
  std::optional<time_point> ended_;
  grpc::StatusCode code_ = grpc::StatusCode::CANCELLED;
  std::string error_ = "the call was abandoned";
  std::atomic<bool> is_emitted_{false};  // an executor that throws may have kept what emits it
};

}  // namespace conn_grpc::runtime
