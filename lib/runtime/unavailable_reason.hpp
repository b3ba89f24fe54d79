// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/error.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/status.hpp>

#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// Adds to `text` why there is no connection, when that is why the get failed. The reason
/// is the last error of the first channel that is not connected and has one.
/// @param channels pointers to objects with a `status()`.
/// @param look_up the failure of the last look-up of the pool's name; else empty.
template <class Channels>
std::string with_unavailable_reason(std::string text, error_code failed, const Channels& channels,
                                    const std::string& look_up) {
  if (failed != errc::not_connected && failed != errc::too_many_waiters &&
      failed != boost::asio::error::operation_aborted)
    return text;
  const std::string end = look_up.empty() ? "" : (channels.empty() ? ": " : "; ") + look_up;
  bool all_are_down = !channels.empty();
  for (const auto& c : channels) {
    const auto status = c->status();
    const bool down = status.state != channel_state::connected;
    if (down && !status.last_error.empty())
      return text.append(": ").append(status.name).append(": ").append(status.last_error).append(end);
    all_are_down = all_are_down && down;
  }
  if (all_are_down) text += ": no attempt to connect has ended yet";
  return text + end;
}

}  // namespace conn_grpc::runtime
