// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/actor_environment.hpp"
#include "runtime/channel_listeners.hpp"
#include "runtime/channel_transition.hpp"
#include "runtime/condition.hpp"
#include "runtime/member.hpp"
#include "runtime/retry_rule.hpp"
#include "runtime/strand.hpp"

#include <memory>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// What the phases of a channel actor share: `channel_actor`, `connecting_phase` and
/// `serving_phase`. `listeners` is thread-safe, the rest is for the strand.
template <class Clock>
struct actor_state {
  actor_state(const actor_environment<Clock>& its_environment, std::shared_ptr<const channel_identity> its_channel)
      : environment(its_environment),
        channel(std::move(its_channel)),
        listeners(environment.options, channel),
        pace(environment.options.stable_after) {}

  void notify(const channel_transition& made) { listeners.notify(made); }

  const actor_environment<Clock>& environment;
  const std::shared_ptr<const channel_identity> channel;
  channel_listeners listeners;
  retry_rule<Clock> pace;
  condition<Clock> changed;             // something that the actor waits for
  const strand_type* strand = nullptr;  // in the frame of `channel_actor::run()`
  std::shared_ptr<void> reusable;       // left by the connection that was lost, for the next attempt
  bool has_settled = false;             // the first attempt has ended
  bool stopping = false;
  std::string_view stop_reason;
};

/// When something happened, for the listeners.
template <class TimePoint>
channel_transition::time_point steady(TimePoint when) {
  return channel_transition::time_point(when.time_since_epoch());
}

}  // namespace conn_grpc::runtime
