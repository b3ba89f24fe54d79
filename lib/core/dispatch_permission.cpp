// SPDX-License-Identifier: BSL-1.0
#include "core/dispatch_permission.hpp"

#include <conn_grpc/detail/dispatch_permission.hpp>

namespace conn_grpc::detail {

bool may_dispatch_in(const boost::asio::execution_context& context) noexcept {
  return core::dispatch_permission::take(context);
}

}  // namespace conn_grpc::detail
