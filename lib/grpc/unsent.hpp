// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

namespace conn_grpc::detail {

/// True when certainly no server has executed the RPC: gRPC could not connect, or the
/// server has refused the stream.
/// @param debug_text grpc::ClientContext::debug_error_string() of the RPC.
[[nodiscard]] bool is_certainly_unsent(const ::grpc::Status& status, std::string_view debug_text);

}  // namespace conn_grpc::detail
