// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/attempt_limiter.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/deadline.hpp"
#include "runtime/priming.hpp"
#include "runtime/strand.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// One attempt of a channel to connect. It is over when the connection is primed. A
/// default-constructed object is no attempt. On the strand.
template <class Clock>
class connection_attempt {
 public:
  using session_type = connection_session<Clock>;
  using permit_type = typename attempt_limiter<Clock>::permit;
  using time_point = typename Clock::time_point;

  connection_attempt() = default;
  /// @param replaces why it replaces a connection; else empty.
  connection_attempt(const checked_pool_options& options, std::unique_ptr<session_type> session, permit_type permit,
                     time_point begin, std::string replaces)
      : options_(&options),
        session_(std::move(session)),
        permit_(std::move(permit)),
        begin_(begin),
        deadline_(deadline_after<Clock>(options.attempt_limit)),
        replaces_(std::move(replaces)) {}

  explicit operator bool() const { return session_ != nullptr; }
  [[nodiscard]] session_type& session() { return *session_; }
  [[nodiscard]] const session_type& session() const { return *session_; }
  [[nodiscard]] time_point deadline() const { return deadline_; }
  [[nodiscard]] std::chrono::nanoseconds took() const { return took_; }
  [[nodiscard]] const std::string& replaces() const { return replaces_; }

  /// Also primes the connection once it is connected.
  /// @param ended is notified when the connection is primed.
  [[nodiscard]] bool is_under_way(const strand_type& strand, condition<Clock>& ended) {
    if (!session_ || has_ended_ || Clock::now() >= deadline_) return false;
    if (session_->is_connecting()) return true;
    if (!session_->is_connected() || !options_->prime) return false;
    if (!primed_) primed_ = std::make_unique<priming<Clock>>(strand, options_->prime, session_->channel(), ended);
    return primed_->is_running();
  }

  /// Call it when the attempt is not under way any more, or is given up. The limiter may
  /// have a permit then.
  void end() {
    if (!session_ || std::exchange(has_ended_, true)) return;
    if (primed_) primed_->cancel();
    permit_type(std::move(permit_));
    took_ = Clock::now() - begin_;
  }

  [[nodiscard]] bool has_succeeded() const {
    const bool is_primed = session_ && (!options_->prime || (primed_ && primed_->has_succeeded()));
    return is_primed && session_->is_connected();
  }

  [[nodiscard]] std::string failure() const {
    const bool was_connected = session_->is_connected();
    if (was_connected && primed_ && !primed_->failure().empty()) return primed_->failure();
    if (was_connected && primed_ && !primed_->has_succeeded())
      return "connected, but prime has not ended (given up after " + std::to_string(options_->attempt_limit.count()) +
             " ms)";
    if (was_connected && has_succeeded()) return session_->why_not_serving();  // it was to replace one that serves
    return session_->failure(options_->attempt_limit);
  }

  [[nodiscard]] std::unique_ptr<session_type> release_session() { return std::move(session_); }

 private:
  const checked_pool_options* options_ = nullptr;
  std::unique_ptr<session_type> session_;
  std::unique_ptr<priming<Clock>> primed_;  // null until the connection is primed
  permit_type permit_;
  time_point begin_;
  time_point deadline_;
  std::chrono::nanoseconds took_{};
  std::string replaces_;
  bool has_ended_ = false;
};

}  // namespace conn_grpc::runtime
