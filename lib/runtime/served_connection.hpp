// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/connection_attempt.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/user_code.hpp"

#include <conn_grpc/backoff.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// A connection that is handed out, or was. On the strand.
template <class Clock>
struct served_connection {
  std::unique_ptr<connection_session<Clock>> session;
  typename Clock::time_point connected_at;
  std::chrono::nanoseconds took{};  // to connect
  bool on_connect_returned = false;
  bool has_ended = false;
  std::chrono::nanoseconds up{};  // how long it lived, once it has ended
  std::string end;                // why it ended

  /// The connection has ended now, unless its end was noticed before.
  void note_end() {
    if (!std::exchange(has_ended, true)) up = Clock::now() - connected_at;
  }
};

/// Hands out the connection that an attempt has made.
/// @param to becomes this connection. Then the attempt has none any more.
/// @return false, without effect, when the connection is not connected any more.
template <class Clock>
[[nodiscard]] bool publish(connection_attempt<Clock>& made, conn_grpc::backoff& backoff, served_connection<Clock>& to) {
  call_user("backoff.reset", [&] { backoff.reset(); });
  const auto now = Clock::now();
  if (!made.session().publish()) return false;
  to = {.session = made.release_session(), .connected_at = now, .took = made.took(), .end = {}};
  return true;
}

}  // namespace conn_grpc::runtime
