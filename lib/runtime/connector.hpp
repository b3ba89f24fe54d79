// SPDX-License-Identifier: BSL-1.0
// What the actors need to connect. The real connector is grpc/grpc_connector.hpp; tests step one by hand.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// One attempt and, when it succeeds, one connection. The state only moves down this list, and may skip entries.
enum class connection_state {
  connecting,
  connected,
  failed,  // never was connected, or so briefly that it was not noticed
  lost,    // was connected, and will not be again
};

/// How a connection was lost, as far as its RPCs show.
enum class loss_kind {
  unknown,  // it carried no RPC
  orderly,  // it carried RPCs, and ended none of them: the server announced that it closes it
  broken,   // it ended RPCs
};

struct connection_loss {
  std::string reason;
  loss_kind kind = loss_kind::unknown;
};

/// Destroying it gives up the attempt or closes the connection. Used on one strand; it synchronises itself with other
/// threads.
template <class T>
concept connection = requires(const T& c) {
  { c.state() } -> std::same_as<connection_state>;
  { c.failure() } -> std::convertible_to<std::string>;   // once failed
  { c.loss() } -> std::convertible_to<connection_loss>;  // once lost
  { c.may_know_more() } -> std::same_as<bool>;           // once lost: RPCs that are ending may tell the reason
  c.channel();                                           // while it is connected; null before and after
};

/// Called by any thread, never from within `connect`, each time the state may have changed. A call too many does no
/// harm. The argument is null, or the channel whose connection was lost.
template <class Channel>
using connection_observer = std::function<void(const Channel& lost)>;

/// `reusable`: what the next attempt of a slot may use of the connection that was lost there; null for nothing.
/// `connect`: begins an attempt.
template <class T>
concept connector = requires(const T& c, connection_observer<typename T::channel_type> observer,
                             std::unique_ptr<typename T::connection_type> lost) {
  { c.reusable(std::move(lost)) } -> std::same_as<std::unique_ptr<typename T::connection_type>>;
  { *c.connect(std::move(observer), std::move(lost)) } -> connection;
};

}  // namespace conn_grpc::runtime
