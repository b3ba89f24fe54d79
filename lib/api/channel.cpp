// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/channel.hpp>

namespace conn_grpc {

channel::channel(const executor_type& executor, const channel_options& options)
    : lifecycle(detail::make_pool_impl(executor, options, {})) {}

channel_status channel::status() const { return full_status().channels.front(); }

}  // namespace conn_grpc
