// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/options.hpp>

#include <functional>
#include <string>

namespace conn_grpc::detail {

/// The method of the RPC that asks a failed channel for its reason.
inline constexpr const char* method_that_asks_for_reason = "/conn_grpc/why";

/// Asks gRPC why a channel in TRANSIENT_FAILURE has not connected. The status of a call
/// that is not wait-for-ready is the only place where gRPC says so. The call ends at
/// once, without a byte on the wire.
/// @param then called on the completion thread with gRPC's words, once this call no
/// longer holds the channel.
void ask_for_failure_reason(const channel_ptr& channel, std::function<void(std::string)> then);

}  // namespace conn_grpc::detail
