// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/lookup.hpp>

#include "api/pool_impl.hpp"

#include <boost/system/system_error.hpp>

#include <string>
#include <utility>

namespace conn_grpc::detail {

std::shared_ptr<pool_impl> try_find(asio::execution_context& context, std::string_view key) {
  return std::static_pointer_cast<pool_impl>(pool_impl::find(context, key));
}

std::shared_ptr<pool_impl> find(asio::execution_context& context, std::string_view key, std::string_view name) {
  auto found = pool_impl::find(context, key);
  if (!found)
    throw boost::system::system_error(
        errc::not_started, "conn_grpc: nothing runs under the name \"" + std::string(name) +
                               "\" in the coroutine's execution context (not yet, not any longer, or in another)");
  return std::static_pointer_cast<pool_impl>(std::move(found));
}

void stop_by_key(asio::execution_context& context, std::string_view key) {
  if (const auto found = pool_impl::find(context, key)) found->stop();
}

pool_status status_by_key(asio::execution_context& context, std::string_view key, std::string_view name) {
  if (const auto found = pool_impl::find(context, key)) return found->status();
  return {.name = std::string(name), .channels = {}};
}

}  // namespace conn_grpc::detail
