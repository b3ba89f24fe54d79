// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpc/support/time.h>

#include <chrono>

namespace conn_grpc::detail {

/// Longer than gRPC takes from the end of an RPC to the state that follows from it, on a
/// machine under load.
inline constexpr std::chrono::milliseconds time_to_notice_loss{250};

/// The time `delay` from now, as gRPC takes it.
inline gpr_timespec after(std::chrono::milliseconds delay) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(delay.count(), GPR_TIMESPAN));
}

}  // namespace conn_grpc::detail
