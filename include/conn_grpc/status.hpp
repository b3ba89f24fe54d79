// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conn_grpc {

enum class channel_state { not_started, connecting, connected, backing_off, stopped };

/// "not_started", "connecting", …
[[nodiscard]] CONN_GRPC_API std::string_view to_string(channel_state state) noexcept;

/// One channel as it was when `status()` was called. Times are of std::chrono::steady_clock.
struct channel_status {
  std::string name;
  std::string address;  ///< the gRPC target
  channel_state state = channel_state::not_started;
  std::uint64_t attempts = 0;                                            ///< attempts begun since `async_run`
  std::optional<std::chrono::steady_clock::time_point> connected_since;  ///< set while connected
  std::optional<std::chrono::steady_clock::time_point> next_attempt;     ///< set while backing off
  /// Why the last attempt failed, in gRPC's words, or "connection lost after N ms: " and why the last connection was
  /// lost: the words of the first RPC of `unary` that ended with it, or what else is known ("closed by the peer, no RPC
  /// in flight"). Also what user code threw. Kept after a reconnect.
  std::string last_error;
};

/// A pool as it was when `status()` was called. Each channel is consistent in itself; the channels are read one after
/// the other.
struct pool_status {
  std::string name;
  std::size_t expected_size = 0;  ///< pool_options::pool_size
  std::size_t current_size = 0;   ///< how many of `channels` are connected
  std::vector<channel_status> channels;
};

}  // namespace conn_grpc
