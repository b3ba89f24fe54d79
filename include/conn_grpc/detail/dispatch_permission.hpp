// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/features.hpp>

namespace conn_grpc::detail {

/// True when this thread runs that context, and is just completing an RPC outside of any
/// call into gRPC and of any function of the user's. Then the handler may be dispatched
/// instead of posted. True once: for one handler. Always false without an
/// event_engine_scope.
[[nodiscard]] CONN_GRPC_API bool may_dispatch_in(const boost::asio::execution_context& context) noexcept;

}  // namespace conn_grpc::detail
