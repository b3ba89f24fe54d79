// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

namespace conn_grpc::detail {

/// True when certainly no server has executed the RPC: gRPC could not connect, or the
/// server has refused the stream.
/// @param context of the RPC, which has ended.
[[nodiscard]] bool is_certainly_unsent(const ::grpc::Status& status, const ::grpc::ClientContext& context);

}  // namespace conn_grpc::detail
