// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/error.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/status.hpp>

#include <memory>
#include <string>
#include <vector>

namespace conn_grpc::runtime {

/// What a get failed with, as text, with why there is no connection, if that was it: what the last attempt failed with
/// of the first channel that is down and knows.
template <class Actor>
std::string with_reason_of_outage(std::string text, error_code failed,
                                  const std::vector<std::unique_ptr<Actor>>& actors) {
  if (failed != errc::not_connected && failed != errc::too_many_waiters &&
      failed != boost::asio::error::operation_aborted)
    return text;
  bool all_are_down = !actors.empty();
  for (const auto& a : actors) {
    const auto status = a->probe().status();
    const bool down = status.state != channel_state::connected;
    if (down && !status.last_error.empty()) return text + ": " + status.name + ": " + status.last_error;
    all_are_down = all_are_down && down;
  }
  return all_are_down ? text + ": no attempt to connect has ended yet" : text;
}

}  // namespace conn_grpc::runtime
