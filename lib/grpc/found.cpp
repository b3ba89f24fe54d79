// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/found.hpp>

#include "grpc/channels.hpp"

#include <boost/system/system_error.hpp>

#include <string>
#include <utility>

namespace conn_grpc::detail {

std::shared_ptr<channels> try_find(asio::execution_context& context, std::string_view key) {
  return std::static_pointer_cast<channels>(channels::find(context, key));
}

std::shared_ptr<channels> find(asio::execution_context& context, std::string_view key, std::string_view name) {
  auto found = channels::find(context, key);
  if (!found)
    throw boost::system::system_error(
        errc::not_started, "conn_grpc: nothing runs under the name \"" + std::string(name) +
                               "\" in the coroutine's execution context (not yet, not any longer, or in another)");
  return std::static_pointer_cast<channels>(std::move(found));
}

boost::system::result<channel_ptr> try_get_found(asio::execution_context& context, std::string_view key) {
  const auto found = channels::find(context, key);
  if (!found) return make_error_code(errc::not_started);
  return found->next();
}

channel_ptr get_found(asio::execution_context& context, std::string_view key, std::string_view name) {
  return find(context, key, name)->next_or_throw();
}

void stop_found(asio::execution_context& context, std::string_view key) {
  if (const auto found = channels::find(context, key)) found->stop();
}

pool_status status_of_found(asio::execution_context& context, std::string_view key, std::string_view name) {
  if (const auto found = channels::find(context, key)) return found->status();
  return {.name = std::string(name), .channels = {}};
}

}  // namespace conn_grpc::detail
