// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace conn_grpc::runtime {

/// One step in the life of a channel, of which its listeners are notified.
struct channel_transition {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::steady_clock::time_point;

  enum class step {
    connecting,        // an attempt begins
    still_connecting,  // the attempt that was to replace a connection goes on after its loss

    connect_failed,    // took, reason
    connected,         // took, at
    unhealthy,         // reason: the connection does not serve
    healthy,           // it serves again
    lost,              // took (the time up), reason
    replaced,          // took (the time up), reason: its replacement has connected
    released,          // took (the time up): closed by the library itself
    disconnected,      // took (the time up), reason; after lost, replaced or released, and after the user's callback
    backing_off,       // delay, at (the next attempt)
    user_code_failed,  // reason, consequence
    stopped,
  };

  step what;
  duration took{};
  std::string_view reason{};
  std::string_view consequence{};
  time_point at{};
  std::chrono::milliseconds delay{};
  bool is_serving = false;    // another connection of the channel is handed out meanwhile
  std::uint64_t attempt = 0;  // the number of the last attempt
};

/// Describes `made`: "connection lost after 5120 ms: Socket closed". Empty for a step
/// without a text.
[[nodiscard]] std::string describe(const channel_transition& made);

}  // namespace conn_grpc::runtime
