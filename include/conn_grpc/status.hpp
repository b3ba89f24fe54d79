// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// The status of a channel and of a pool.

#include <conn_grpc/detail/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace conn_grpc {

/// What a channel is doing.
enum class channel_state {
  /// `async_run` has not been called.
  not_started,
  /// An attempt to connect is under way.
  connecting,
  /// The channel is connected. Gets return it until gRPC reports a loss.
  connected,
  /// The connection was lost or the attempt failed, and the next attempt has not begun.
  backing_off,
  /// The channel has ended: it was stopped, or `async_run` has ended.
  stopped,
  /// The channel is connected, but gets do not return it any more: `pool::drain` waits
  /// for its RPCs, or the pool is being stopped.
  draining,
  /// The channel is connected, but its server does not report that it serves. Gets do not
  /// return it. Only with `channel_options::health_service`.
  unhealthy,
};

/// Returns the name of the state as text: "not_started", "connecting", …
///
/// *Thread safety*: Any thread may call this function.
[[nodiscard]] CONN_GRPC_API std::string_view to_string(channel_state state) noexcept;

/// The state of a channel at the time when `status()` was called.
struct channel_status {
  /// `channel_options::name`, or `<pool>/<index>` for a channel of a pool, or
  /// `<pool>/<address>/<index>` for a pool with several addresses.
  std::string name;
  /// The gRPC target to which the channel connects.
  std::string address;
  /// What the channel is doing.
  channel_state state = channel_state::not_started;
  /// How many attempts have begun since `async_run`.
  std::uint64_t attempts = 0;
  /// When the channel connected. Set only while it is connected, draining or unhealthy.
  std::optional<std::chrono::steady_clock::time_point> connected_since;
  /// When the next attempt begins. Set only while the channel waits for its backoff.
  std::optional<std::chrono::steady_clock::time_point> next_attempt;
  /// The last error of the channel. A later connection does not clear it. It is
  ///
  ///  - the reason why the last attempt failed, in gRPC's words;
  ///  - or "connection lost after N ms: " and the reason of the last loss. That reason is
  ///    the text of the first RPC of `unary`, or stream, that ended with the connection.
  ///    Without such an RPC it is, for example, "closed by the peer, no RPC in flight";
  ///  - or "not serving (health service "NAME")", perhaps with more words, for an unhealthy
  ///    channel;
  ///  - or the text of an exception of user code.
  std::string last_error;
  /// How many leases of the channel there are, over all of its connections.
  std::size_t in_flight = 0;
  /// How many leases of the channel have begun.
  std::uint64_t served = 0;
};

/// The channels of a pool to one of its addresses.
struct address_status {
  /// The gRPC target.
  std::string address;
  /// How many channels the pool has to this address, also while the channels to a removed
  /// address still serve.
  std::size_t expected_size = 0;
  /// How many of them are connected.
  std::size_t current_size = 0;
  /// The last error of a channel to this address that is not connected. If all are
  /// connected, the last error of one of them. Empty if there was none.
  std::string last_error{};
};

/// The state of a pool at the time when `status()` was called. The channels are read in
/// turn, so their states may be of slightly different times.
struct pool_status {
  /// `pool_options::name`.
  std::string name;
  /// How many channels the pool is to have: for each address `pool_options::pool_size`, or
  /// the size that follows the load (`max_size`), or what `resize` has set.
  std::size_t expected_size = 0;
  /// How many of the `channels` are connected.
  std::size_t current_size = 0;
  /// The state of each channel, in the order of their turns: the first channel to each
  /// address, then the second channel to each. While the channels to a removed address
  /// still serve, they are in here, too.
  std::vector<channel_status> channels{};
  /// The state of each address. If the last look-up of `pool_options::resolve_interval`
  /// failed, there is one more entry, with the name, sizes of 0, and the reason in
  /// `last_error`.
  std::vector<address_status> addresses{};
  /// How many gets and leases wait for a channel.
  std::size_t waiting = 0;
};

}  // namespace conn_grpc
