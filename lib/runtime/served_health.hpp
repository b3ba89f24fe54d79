// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_listeners.hpp"
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
  explicit served_health(channel_listeners& listeners) : listeners_(listeners) {}

  /// A new connection is connected, and the listeners have been notified.
  void begin() { is_unhealthy_ = false; }

  /// Call it each time the connection may have changed.
  /// @return true when gets return the channel again. The caller must then serve the
  /// waiters.
  [[nodiscard]] bool follow(connection_session<Clock>& session) {
    if (!session.is_connected()) return false;
    if (const auto why = session.why_not_serving(); !why.empty()) {
      session.withdraw();
      if (!std::exchange(is_unhealthy_, true))
        listeners_.notify({.what = channel_transition::step::unhealthy, .reason = why});
      return false;
    }
    if (session.is_handed_out() || !session.publish()) return false;
    if (std::exchange(is_unhealthy_, false)) listeners_.notify({.what = channel_transition::step::healthy});
    return true;
  }

 private:
  channel_listeners& listeners_;
  bool is_unhealthy_ = false;
};

}  // namespace conn_grpc::runtime
