// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/actor_state.hpp"
#include "runtime/channel_transition.hpp"
#include "runtime/connection_session.hpp"

#include <utility>

namespace conn_grpc::runtime {

/// Follows the health of a channel's connection. Withdraws the channel while the server
/// does not serve, and publishes it again afterwards. All functions are for the strand.
///
/// The completion thread withdraws the channel as soon as the server does not serve. The
/// server may serve again before the strand runs. So `follow` reacts to no events: it
/// compares the published snapshot with the present health.
template <class Clock>
class served_health {
 public:
  explicit served_health(actor_state<Clock>& state) : state_(state) {}

  /// A new connection is connected, and the listeners have been notified.
  void begin() { is_unhealthy_ = false; }

  /// Call it each time the connection may have changed.
  void follow(connection_session<Clock>& session) {
    if (!session.is_connected()) return;
    if (const auto why = session.why_not_serving(); !why.empty()) {
      session.withdraw();
      if (!std::exchange(is_unhealthy_, true))
        state_.notify({.what = channel_transition::step::unhealthy, .reason = why});
      return;
    }
    if (session.is_handed_out() || !session.publish()) return;
    if (std::exchange(is_unhealthy_, false)) state_.notify({.what = channel_transition::step::healthy});
    state_.environment.picker.serve_waiters();
    state_.environment.attempt_ended(*state_.channel, true);
  }

 private:
  actor_state<Clock>& state_;
  bool is_unhealthy_ = false;
};

}  // namespace conn_grpc::runtime
