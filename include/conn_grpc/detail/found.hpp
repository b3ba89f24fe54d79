// SPDX-License-Identifier: BSL-1.0
// What runs in an execution context under a key: a name, or the type of a static_pool or static_channel.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/wait.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <cstddef>
#include <memory>
#include <string_view>

namespace conn_grpc::detail {

/// @param name how an exception calls it.
/// @throws boost::system::system_error with errc::not_started.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<channels> find(asio::execution_context& context, std::string_view key,
                                                           std::string_view name);

[[nodiscard]] CONN_GRPC_API boost::system::result<channel_ptr> try_get_found(asio::execution_context& context,
                                                                             std::string_view key);
[[nodiscard]] CONN_GRPC_API channel_ptr get_found(asio::execution_context& context, std::string_view key,
                                                  std::string_view name);
CONN_GRPC_API void stop_found(asio::execution_context& context, std::string_view key);
[[nodiscard]] CONN_GRPC_API pool_status status_of_found(asio::execution_context& context, std::string_view key,
                                                        std::string_view name);

/// In the context of the coroutine that awaits it. Both texts must live until then.
[[nodiscard]] inline asio::awaitable<channel_ptr> get_found(std::string_view key, std::string_view name) {
  const auto executor = co_await asio::this_coro::executor;
  co_return get_found(asio::query(executor, asio::execution::context), key, name);
}

/// The same, but it waits as `get(channels, timeout)` does.
[[nodiscard]] CONN_GRPC_API asio::awaitable<channel_ptr> get_found(std::string_view key, std::string_view name,
                                                                   patience timeout);
[[nodiscard]] CONN_GRPC_API asio::awaitable<void> found_connected(std::string_view key, std::string_view name,
                                                                  std::size_t needed, patience timeout);

}  // namespace conn_grpc::detail
