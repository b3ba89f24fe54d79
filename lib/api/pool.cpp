// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/pool.hpp>

namespace conn_grpc {

pool::pool(const executor_type& executor, const pool_options& options)
    : lifecycle(detail::make_pool_impl(executor, options, {})) {}

}  // namespace conn_grpc
