// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"
#include "runtime/actor_state.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/channel_transition.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/connecting_phase.hpp"
#include "runtime/connection_attempt.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/connector.hpp"
#include "runtime/replacing_phase.hpp"
#include "runtime/retry_rule.hpp"
#include "runtime/served_connection.hpp"
#include "runtime/served_health.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// How the connection of a channel serves, and those that replace it, until the last one
/// is lost. On the strand.
template <class Clock>
class serving_phase {
 public:
  using attempt = connection_attempt<Clock>;

  serving_phase(actor_state<Clock>& state, connecting_phase<Clock>& connecting)
      : state_(state), connecting_(connecting) {}

  /// Publishes the connection and then its replacements, until the last one is lost or
  /// `stop()` is called.
  /// @param next the connection. At the end the attempt that was to replace the last
  /// connection, if that has not ended.
  strand_awaitable<retry> serve(attempt& next, conn_grpc::backoff& backoff) {
    served_connection<Clock> current;
    if (!publish(next, backoff, current)) {  // the connection was lost meanwhile
      connecting_.fail(next);
      next = {};
      co_return retry::after_backoff;
    }
    next = {};
    std::exception_ptr thrown;
    {
      const auto serving_ends = serving_scope(serves_);
      co_await serve_until_lost(current, next, backoff, thrown);
    }
    current.session->withdraw();
    if (!thrown) co_await replacing_.await_reason(*current.session);
    current.note_end();
    const bool is_suspect = !state_.stopping && !thrown && current.session->is_connected();
    const auto loss = loss_of(*current.session, thrown);
    auto reusable = current.session->take_reusable(false);
    current.session.reset();
    if (reusable && !state_.stopping && !thrown && !next) state_.reusable = std::move(reusable);
    reusable.reset();
    current.end = loss.reason;
    state_.notify({.what = state_.stopping ? step::released : step::lost, .took = current.up, .reason = current.end});
    co_await finish(current, thrown);
    if (thrown) std::rethrow_exception(thrown);
    const auto when = state_.pace.after(loss.kind, current.up);
    co_return is_suspect ? retry::after_backoff : when;
  }

  /// Has the connection replaced, if one serves.
  /// @param is_suspect true when it must not serve even if connecting again fails.
  void replace(std::string_view why, bool is_suspect) {
    if (serves_) replacing_.wish(why, is_suspect);
  }

  /// True while its connection is handed out.
  [[nodiscard]] bool serves() const { return serves_ && serves_->is_serving(); }
  /// True while this channel is handed out, or its connection is unhealthy.
  [[nodiscard]] bool serves(const ::grpc::Channel* channel) const { return serves_ && serves_->has_published(channel); }

 private:
  using step = channel_transition::step;
  using session_type = connection_session<Clock>;
  using time_point = typename Clock::time_point;

  /// Clears the pointer at its end, however the serving ends.
  class serving_scope {
   public:
    explicit serving_scope(session_type*& serves) : serves_(serves) {}
    ~serving_scope() { serves_ = nullptr; }
    serving_scope(const serving_scope&) = delete;
    serving_scope& operator=(const serving_scope&) = delete;

   private:
    session_type*& serves_;
  };

  [[nodiscard]] const checked_pool_options& options() const { return state_.environment.options; }
  [[nodiscard]] channel_picker<Clock>& picker() const { return state_.environment.picker; }

  /// @param thrown becomes what user code throws.
  strand_awaitable<> serve_until_lost(served_connection<Clock>& current, attempt& next, conn_grpc::backoff& backoff,
                                      std::exception_ptr& thrown) {
    served_connection<Clock> replaced;
    for (;;) {
      begin_serving(current);
      thrown = thrown_by("on_connect", options().on_connect);
      current.on_connect_returned = !thrown;
      if (replaced.session) co_await finish(replaced, thrown);
      if (thrown || state_.stopping) co_return;
      served_connection<Clock> replacement;
      try {
        const bool is_replaced = co_await replacing_.await_replacement(current, backoff, next, replacement);
        if (!is_replaced) co_return;
      } catch (...) {
        thrown = std::current_exception();
        co_return;
      }
      end_serving(current, next.replaces());
      next = {};
      replaced = std::exchange(current, std::move(replacement));
    }
  }

  void begin_serving(const served_connection<Clock>& begun) {
    serves_ = begun.session.get();
    replacing_.begin(begun.connected_at);
    state_.has_settled = true;
    state_.notify({.what = step::connected, .took = begun.took, .at = steady(begun.connected_at)});
    state_.environment.attempt_ended(*state_.channel, true);
    health_.begin();
    health_.follow(*begun.session);
    if (begun.session->is_connected()) picker().serve_waiters();  // after the status has changed: they may read it
  }

  /// Reports the end of a connection that has been replaced.
  void end_serving(served_connection<Clock>& replaced, const std::string& why) {
    replaced.note_end();
    const bool is_lost = !replaced.session->is_connected();
    replaced.end = is_lost ? replaced.session->loss().reason : "replaced: " + why;
    state_.notify({.what = is_lost ? step::lost : step::replaced,
                   .took = replaced.up,
                   .reason = is_lost ? replaced.end : why,
                   .is_serving = true});
  }

  /// Closes a withdrawn connection, calls `on_disconnect` and reports it.
  /// @param thrown becomes what `on_disconnect` throws, unless it is set already.
  strand_awaitable<> finish(served_connection<Clock>& withdrawn, std::exception_ptr& thrown) {
    withdrawn.session.reset();
    if (withdrawn.on_connect_returned) {
      const auto by_callback = thrown_by("on_disconnect", options().on_disconnect);
      if (!thrown) thrown = by_callback;
    }
    state_.notify({.what = step::disconnected, .took = withdrawn.up, .reason = withdrawn.end});
    // A caller that is taking the channel needs nanoseconds, unless its thread is not
    // running.
    while (!picker().reclaim()) co_await state_.changed.wait_until(Clock::now() + std::chrono::milliseconds(1));
  }

  [[nodiscard]] connection_loss loss_of(const session_type& session, const std::exception_ptr& thrown) const {
    if (state_.stopping) return {.reason = std::string(state_.stop_reason)};
    if (thrown) return {.reason = core::exception_text(thrown)};
    if (session.is_connected()) return {.reason = "suspect: " + replacing_.suspicion(), .kind = loss_kind::broken};
    return session.loss();
  }

  /// Returns the callback's exception instead of throwing it, because the channel must be
  /// withdrawn first.
  static std::exception_ptr thrown_by(std::string_view where, const std::function<void()>& callback) {
    try {
      if (callback) call_user(where, callback);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  actor_state<Clock>& state_;
  connecting_phase<Clock>& connecting_;
  served_health<Clock> health_{state_};
  replacing_phase<Clock> replacing_{state_, connecting_, health_};
  session_type* serves_ = nullptr;  // the session that is handed out
};

}  // namespace conn_grpc::runtime
