// SPDX-License-Identifier: BSL-1.0
// What the actors need of the world to connect. The real one is grpc/connector.hpp; tests step one by hand.
#pragma once

#include <concepts>
#include <functional>
#include <string>

namespace conn_grpc::runtime {

/// One attempt and, when it succeeds, one connection. It only moves down this list, and skips what does not happen.
enum class connection_state {
  connecting,
  connected,
  failed,  // never was connected; or so briefly that nobody saw it
  lost,    // was connected, and will not be again
};

/// Destroying it gives up the attempt or closes the connection, at once. Used by one strand; what happens elsewhere is
/// its own concern.
template <class T>
concept connection = requires(const T& c) {
  { c.state() } -> std::same_as<connection_state>;
  { c.failure() } -> std::convertible_to<std::string>;  // once failed
  c.channel();                                          // while it is connected; null before and after
};

/// Begins an attempt. `changed` is called from any thread, and never from within `connect`, each time the state may
/// have changed; a call too many does no harm.
template <class T>
concept connector = requires(const T& c, std::function<void()> changed) {
  typename T::channel_type;
  { *c.connect(std::move(changed)) } -> connection;
};

}  // namespace conn_grpc::runtime
