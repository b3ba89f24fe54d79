// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/pool.hpp>

#include "api/checked_options.hpp"
#include "api/pool_impl.hpp"

#include <string>
#include <utility>
#include <vector>

namespace conn_grpc {

pool::pool(const executor_type& executor, const pool_options& options)
    : lifecycle(detail::make_pool_impl(executor, options, {})) {}

void pool::set_addresses(std::vector<std::string> addresses) {
  detail::check_addresses(addresses, impl()->options());
  impl()->set_addresses(std::move(addresses));
}

void pool::refresh() { impl()->refresh(); }

void pool::suspect(const channel_ptr& suspected, std::string why) { impl()->suspect(suspected, std::move(why)); }

}  // namespace conn_grpc
