// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/status.hpp>

namespace conn_grpc {

std::string_view to_string(channel_state state) noexcept {
  switch (state) {
    case channel_state::not_started:
      return "not_started";
    case channel_state::connecting:
      return "connecting";
    case channel_state::connected:
      return "connected";
    case channel_state::backing_off:
      return "backing_off";
    case channel_state::stopped:
      return "stopped";
    case channel_state::draining:
      return "draining";
    case channel_state::unhealthy:
      return "unhealthy";
  }
  return "unknown";
}

}  // namespace conn_grpc
