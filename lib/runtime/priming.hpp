// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/connector.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// Runs the user's `prime` for one connection, as a coroutine of its own. All functions are
/// for the strand.
template <class Clock>
class priming {
 public:
  /// Throws what the function throws before it returns the coroutine.
  /// @param ended notified when the coroutine has ended. It must exist as long as this
  /// object.
  priming(const strand_type& strand, const std::shared_ptr<const prime_function>& prime, channel_ptr channel,
          condition<Clock>& ended)
      : state_(std::make_shared<state>()) {
    state_->ended = &ended;
    auto coroutine = call_user("prime", *prime, std::move(channel));
    boost::asio::co_spawn(strand, std::move(coroutine),
                          boost::asio::bind_cancellation_slot(
                              state_->cancel.slot(), [shared = state_, prime](const std::exception_ptr& thrown) {
                                shared->is_running = false;
                                if (thrown) shared->failure = "prime: " + core::exception_text(thrown);
                                if (shared->ended) shared->ended->notify();
                              }));
  }
  // Does not cancel the coroutine. When the execution context is destroyed, the coroutine
  // may have been destroyed before this object.
  ~priming() { state_->ended = nullptr; }
  priming(const priming&) = delete;
  priming& operator=(const priming&) = delete;

  [[nodiscard]] bool is_running() const { return state_->is_running; }
  [[nodiscard]] bool has_succeeded() const { return !is_running() && failure().empty(); }
  /// "prime: " and the text of the exception that the coroutine threw. Empty if it threw
  /// none.
  [[nodiscard]] const std::string& failure() const { return state_->failure; }

  /// Cancels the coroutine. It may run on after this object is destroyed.
  void cancel() {
    if (state_->is_running) state_->cancel.emit(boost::asio::cancellation_type::all);
  }

 private:
  struct state {
    bool is_running = true;
    std::string failure;
    condition<Clock>* ended = nullptr;
    boost::asio::cancellation_signal cancel;
  };

  const std::shared_ptr<state> state_;
};

}  // namespace conn_grpc::runtime
