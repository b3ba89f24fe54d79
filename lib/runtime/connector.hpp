// SPDX-License-Identifier: BSL-1.0
// What the actors need to connect. grpc/grpc_connector.hpp is the real connector. The
// tests step theirs by hand.
#pragma once

#include <conn_grpc/detail/channel_ptr.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace conn_grpc::runtime {

using conn_grpc::channel_ptr;

/// One attempt and, when it succeeds, one connection. The state only moves down this
/// list, and may skip entries.
enum class connection_state {
  connecting,
  connected,
  failed,  // never was connected, or so briefly that it was not noticed
  lost,    // was connected, and will not be again
};

/// How a connection was lost, as far as its RPCs show.
enum class loss_kind {
  unknown,  // it carried no RPC
  orderly,  // it carried RPCs and ended none of them: the server announced that it closes it
  broken,   // it ended RPCs
};

struct connection_loss {
  std::string reason;
  loss_kind kind = loss_kind::unknown;
  bool reconnects = false;  // true while an RPC on its channel makes gRPC connect again, and does not fail
};

/// One attempt and its connection. Destroying it abandons the attempt, or closes the
/// connection.
///
/// *Thread safety*: for one strand. It synchronises itself with the threads that change
/// its state.
class connection {
 public:
  connection() = default;
  virtual ~connection() = default;
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  [[nodiscard]] virtual connection_state state() const = 0;
  /// Why it failed. While it still connects: what is known so far, which may be empty.
  [[nodiscard]] virtual std::string failure() const = 0;
  /// Why it was lost.
  [[nodiscard]] virtual connection_loss loss() const = 0;
  /// True for a lost connection whose RPCs are ending: their statuses may give the
  /// reason.
  [[nodiscard]] virtual bool may_know_more() const = 0;
  /// Null unless it is connected.
  [[nodiscard]] virtual channel_ptr channel() const = 0;
  /// False while the server says that it does not serve. May change at any time while it
  /// is connected. After a loss it stays what it was.
  [[nodiscard]] virtual bool is_serving() const { return true; }
  /// Why it does not serve. Empty while it serves.
  [[nodiscard]] virtual std::string why_not_serving() const { return {}; }
  /// What the next attempt in its slot may use of a lost connection. Null for nothing.
  /// @param is_handed_out true when gets return the channel until that attempt has ended.
  [[nodiscard]] virtual std::shared_ptr<void> take_reusable(bool is_handed_out) {
    (void)is_handed_out;
    return nullptr;
  }
};

/// What may have happened to a connection.
enum class connection_change {
  other,     // it may have connected, failed, or serve again
  idle,      // it was connected, and no longer is, and its loss `reconnects`
  unusable,  // it must not be handed out any more: it is lost, or it does not serve
};

/// Called by any thread, each time the state may have changed, but never from within
/// `connect`. A superfluous call is harmless.
using connection_observer = std::function<void(connection_change)>;

/// Connects. One object for all channels of a pool.
class connector {
 public:
  connector() = default;
  virtual ~connector() = default;
  connector(const connector&) = delete;
  connector& operator=(const connector&) = delete;

  /// Begins an attempt. Throws what the user's code throws.
  /// @param reused what the lost connection of the slot has left, or null.
  [[nodiscard]] virtual std::unique_ptr<connection> connect(const std::string& address, connection_observer changed,
                                                            std::shared_ptr<void> reused) const = 0;

  /// How many RPCs are in flight over the connections it has made, as far as it follows
  /// RPCs. Thread-safe.
  [[nodiscard]] virtual std::size_t calls_in_flight() const { return 0; }
};

}  // namespace conn_grpc::runtime
