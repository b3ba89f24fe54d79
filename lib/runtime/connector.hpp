// SPDX-License-Identifier: BSL-1.0
// What the actors need to connect. The real connector is grpc/grpc_connector.hpp; tests step one by hand.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// One attempt and, when it succeeds, one connection. It only moves down this list, and skips what does not happen.
enum class connection_state {
  connecting,
  connected,
  failed,  // never was connected; or so briefly that it was not noticed
  lost,    // was connected, and will not be again
};

/// Why a connection was lost, as far as that is known.
struct connection_loss {
  std::string reason;
  bool orderly = false;  // the server had served RPCs, and ended none of them
};

/// Destroying it gives up the attempt or closes the connection. Used by one strand; what happens elsewhere is its own
/// concern.
template <class T>
concept connection = requires(const T& c) {
  { c.state() } -> std::same_as<connection_state>;
  { c.failure() } -> std::convertible_to<std::string>;   // once failed
  { c.loss() } -> std::convertible_to<connection_loss>;  // once lost
  c.channel();                                           // while it is connected; null before and after
};

/// Called by any thread, never from within `connect`, each time the state may have changed. A call too many does no
/// harm. The argument is null, or the channel whose connection was lost.
template <class Channel>
using connection_observer = std::function<void(const Channel& lost)>;

/// Begins an attempt.
/// `previous`: the connection of the same slot that was lost before; it may be null. The attempt may go on with what is
/// left of it.
template <class T>
concept connector = requires(const T& c, connection_observer<typename T::channel_type> observer,
                             std::unique_ptr<typename T::connection_type> previous) {
  { *c.connect(std::move(observer), std::move(previous)) } -> connection;
};

}  // namespace conn_grpc::runtime
