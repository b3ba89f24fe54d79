// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/attempt_limiter.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/connector.hpp"
#include "runtime/member.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>

namespace conn_grpc::runtime {

/// Counters of the actors of a pool. On the strand.
struct actor_counters {
  std::uint64_t next_connection = 0;
  std::unordered_map<std::string, std::size_t> waiting;  // by address: see channel_actor::waits_for_address
};

/// What the actors of a pool share.
template <class Clock>
struct actor_environment {
  const checked_pool_options& options;
  const connector& connects;
  channel_picker<Clock>& picker;
  actor_counters& counters;

  /// Makes the observer of one connection of a slot. The observer withdraws a connection
  /// that is lost, or does not serve, on the calling thread, and posts a `recheck()` to
  /// the strand.
  std::function<connection_observer(std::size_t slot, std::uint64_t connection)> observer_of;
  attempt_limiter<Clock>& attempts;
  /// Called when an attempt has ended, and when a connection serves again.
  std::function<void(const channel_identity& channel, bool has_connected)> attempt_ended;
};

}  // namespace conn_grpc::runtime
