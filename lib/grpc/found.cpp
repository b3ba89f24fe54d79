// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/found.hpp>

#include "grpc/channels.hpp"

#include <boost/system/system_error.hpp>

#include <string>
#include <utility>

namespace conn_grpc::detail {

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

asio::awaitable<channel_ptr> get_found(std::string_view key, std::string_view name, patience timeout) {
  const auto executor = co_await asio::this_coro::executor;
  co_return co_await get(find(asio::query(executor, asio::execution::context), key, name), timeout);
}

asio::awaitable<void> found_connected(std::string_view key, std::string_view name, std::size_t needed,
                                      patience timeout) {
  const auto executor = co_await asio::this_coro::executor;
  co_await connected(find(asio::query(executor, asio::execution::context), key, name), needed, timeout);
}

void stop_found(asio::execution_context& context, std::string_view key) {
  if (const auto found = channels::find(context, key)) found->stop();
}

pool_status status_of_found(asio::execution_context& context, std::string_view key, std::string_view name) {
  if (const auto found = channels::find(context, key)) return found->status();
  return {.name = std::string(name), .channels = {}};
}

}  // namespace conn_grpc::detail
