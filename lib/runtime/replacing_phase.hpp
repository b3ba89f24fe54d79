// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/actor_state.hpp"
#include "runtime/attempt_limiter.hpp"
#include "runtime/channel_transition.hpp"
#include "runtime/connecting_phase.hpp"
#include "runtime/connection_attempt.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/deadline.hpp"
#include "runtime/replacement_plan.hpp"
#include "runtime/served_connection.hpp"
#include "runtime/served_health.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// How a connection is replaced while it serves: the next one connects beside it.
/// docs/design/replacement.md explains it. On the strand.
template <class Clock>
class replacing_phase {
 public:
  using attempt = connection_attempt<Clock>;
  using session_type = connection_session<Clock>;

  replacing_phase(actor_state<Clock>& state, connecting_phase<Clock>& connecting, served_health<Clock>& health)
      : state_(state),
        connecting_(connecting),
        health_(health),
        plan_(state.environment.options.max_connection_age, state.environment.options.stable_after) {}

  /// A connection serves. Wishes before do not concern it.
  void begin(typename Clock::time_point connected_at) { plan_.begin(connected_at); }

  /// @param is_suspect true when the connection must not serve even if connecting again
  /// fails.
  void wish(std::string_view why, bool is_suspect) {
    plan_.wish(why, is_suspect);
    state_.changed.notify();
  }

  /// Why the last connection was suspect.
  [[nodiscard]] const std::string& suspicion() const { return suspicion_; }

  /// Serves until the connection is replaced or lost, or `stop()` is called.
  /// @param next the attempt that has made the replacement. Without one, the attempt that
  /// goes on after a loss, or none.
  /// @return true when `replacement` has been published.
  strand_awaitable<bool> await_replacement(served_connection<Clock>& serving, conn_grpc::backoff& backoff,
                                           attempt& next, served_connection<Clock>& replacement) {
    auto& session = *serving.session;
    for (;;) {
      const auto reason = co_await await_reason_to_replace(serving);
      if (!reason) co_return false;
      co_await connect_beside(session, *reason, next);
      if (!state_.stopping && may_replace(session, next) && publish(next, backoff, replacement)) co_return true;
      if (state_.stopping || !session.is_connected()) co_return false;
      suspicion_ = reason->why;
      if (reason->is_suspect && connecting_.is_under_way(next)) co_return false;
      if (next) connecting_.fail(next, true);
      next = {};
      if (reason->is_suspect) co_return false;
      const auto delay = call_user("backoff.next", [&] { return backoff.next(); });
      const auto until = plan_.attempt_failed(delay);
      state_.notify({.what = step::backing_off, .at = steady(until), .delay = delay, .is_serving = true});
      co_await boost::asio::post(boost::asio::deferred);  // stop() must get its turn
    }
  }

  /// An RPC that ends with the connection may end a moment later. Its status decides
  /// about the next attempt.
  strand_awaitable<> await_reason(const session_type& lost) {
    const auto end = deadline_after<Clock>(std::chrono::milliseconds(20));
    while (!state_.stopping && lost.may_know_more() && Clock::now() < end)
      co_await state_.changed.wait_until((std::min)(end, Clock::now() + std::chrono::milliseconds(1)));
  }

 private:
  using step = channel_transition::step;
  using time_point = typename Clock::time_point;

  /// @return none after `stop()`, and when the connection is lost and may not serve on.
  strand_awaitable<std::optional<replacement_reason>> await_reason_to_replace(served_connection<Clock>& serving) {
    auto& session = *serving.session;
    for (;;) {
      health_.follow(session);
      if (state_.stopping) co_return std::nullopt;
      if (!session.is_connected()) {
        serving.note_end();
        const bool may_serve = co_await may_serve_until_replaced(serving);
        if (!may_serve) co_return std::nullopt;
        co_return replacement_reason{.why = "its end was announced"};
      }
      if (auto reason = plan_.due(state_.pace)) co_return reason;
      co_await state_.changed.wait_until(plan_.next_check());
    }
  }

  /// True when gets may return a lost connection, whose channel connects again, until the
  /// next attempt has ended. Gets do not return it any more when they had another one.
  strand_awaitable<bool> may_serve_until_replaced(const served_connection<Clock>& lost) {
    if (lost.session->is_usable()) co_await await_reason(*lost.session);
    if (state_.stopping || !lost.session->is_usable() || !lost.session->is_handed_out()) co_return false;
    co_return state_.pace.begins_now(state_.pace.after(lost.session->loss().kind, lost.up));
  }

  /// True when the replacement is connected, and serves if `serving` does.
  [[nodiscard]] static bool may_replace(const session_type& serving, const attempt& replacing) {
    const bool must_serve = serving.is_usable() && serving.is_serving();
    return replacing.has_succeeded() && (!must_serve || replacing.session().is_serving());
  }

  /// Makes an attempt while another connection serves, and until that may not serve any
  /// more: gets return a lost or suspect connection for a second at most. Then the attempt
  /// goes on.
  strand_awaitable<> connect_beside(session_type& serving, const replacement_reason& reason, attempt& begun) {
    constexpr auto never = (time_point::max)();
    auto reusable = serving.is_connected() ? nullptr : serving.take_reusable(true);
    auto end_of_gap = reason.is_suspect ? deadline_after<Clock>(longest_gap) : never;
    typename attempt_limiter<Clock>::place place(connecting_.limiter(), state_.changed);
    while (!state_.stopping && serving.is_usable()) {
      health_.follow(serving);
      if (state_.stopping) break;
      if (end_of_gap == never && !serving.is_connected()) end_of_gap = deadline_after<Clock>(longest_gap);
      if (Clock::now() >= end_of_gap) break;
      if (auto permit = begun ? typename attempt::permit_type() : place.request())
        begun = connecting_.begin(std::move(permit), std::exchange(reusable, nullptr), reason.why);
      if (begun && !connecting_.is_under_way(begun)) break;
      co_await state_.changed.wait_until((std::min)(end_of_gap, begun ? begun.deadline() : never));
    }
    place.leave();
    connecting_.limiter().notify_next();
    const bool is_withdrawn = !serving.is_connected() || Clock::now() >= end_of_gap;
    const bool goes_on = !state_.stopping && is_withdrawn && connecting_.is_under_way(begun);
    if (!goes_on) connecting_.end(begun);
    if (reusable) state_.reusable = std::move(reusable);
  }

  // How long gets return a suspect connection, or a lost one whose channel connects again.
  static constexpr std::chrono::milliseconds longest_gap{1'000};

  actor_state<Clock>& state_;
  connecting_phase<Clock>& connecting_;
  served_health<Clock>& health_;
  std::string suspicion_;
  replacement_plan<Clock> plan_;
};

}  // namespace conn_grpc::runtime
