// SPDX-License-Identifier: BSL-1.0
#include "runtime/pool_probe.hpp"

namespace conn_grpc::runtime {

void pool_probe::report_get(std::chrono::nanoseconds took, const channel_identity* channel,
                            std::string_view error) const {
  telemetry_event get{.name = event::channel_get, .duration = took, .error = error};
  if (channel) {
    get.channel_name = channel->name;
    get.address = channel->address;
  }
  if (!options_.is_pool()) {
    get.channel_name = options_.name;
    telemetry_.emit(get, options_.logger.get());
    return;
  }
  get.pool_name = options_.name;
  telemetry_.emit(get, options_.logger.get());
  get.name = event::pool_get_channel;
  telemetry_.emit(get, options_.logger.get());
}

void pool_probe::report_size(std::size_t expected, std::size_t current) const noexcept {
  telemetry_.emit(
      {.name = event::pool_status, .expected_size = expected, .current_size = current, .pool_name = options_.name},
      options_.logger.get());
}

}  // namespace conn_grpc::runtime
