// SPDX-License-Identifier: BSL-1.0
// Looks up what runs in an execution context under a key: a name, or the type of a
// static_pool or static_channel.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/get.hpp>
#include <conn_grpc/detail/initiation.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace conn_grpc::detail {

/// Returns the name of the type without the namespaces or functions in which it is
/// declared: "demo_pool".
[[nodiscard]] CONN_GRPC_API std::string unqualified_name(const std::type_info& type);

/// Returns the key by which the instance of the type is found. No name equals it.
[[nodiscard]] CONN_GRPC_API std::string key_of(const std::type_info& type);

/// Returns null if nothing runs there under this key.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<pool_impl> try_find(asio::execution_context& context, std::string_view key);

/// Throws boost::system::system_error with errc::not_started if nothing runs there under
/// this key.
/// @param name The name in the text of an exception.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<pool_impl> find(asio::execution_context& context, std::string_view key,
                                                            std::string_view name);

[[nodiscard]] inline boost::system::result<channel_ptr> try_get_by_key(asio::execution_context& context,
                                                                       std::string_view key) {
  const auto found = try_find(context, key);
  if (!found) return make_error_code(errc::not_started);
  return try_pick(*found);
}

[[nodiscard]] inline channel_ptr get_by_key(asio::execution_context& context, std::string_view key,
                                            std::string_view name) {
  const auto found = find(context, key, name);
  return pick_or_throw(*found);
}

CONN_GRPC_API void stop_by_key(asio::execution_context& context, std::string_view key);
[[nodiscard]] CONN_GRPC_API pool_status status_by_key(asio::execution_context& context, std::string_view key,
                                                      std::string_view name);

// These functions look in the context of the coroutine that awaits them. Both texts must
// live until then.

template <class Executor>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_by_key(std::string_view key, std::string_view name) {
  const auto executor = co_await asio::this_coro::executor;
  co_return get_by_key(asio::query(executor, asio::execution::context), key, name);
}

template <class Executor>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_by_key(std::string_view key, std::string_view name,
                                                                std::chrono::nanoseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto found = find(asio::query(executor, asio::execution::context), key, name);
  co_return co_await get<Executor>(found, timeout);
}

template <class Executor>
[[nodiscard]] asio::awaitable<void, Executor> connected_by_key(std::string_view key, std::string_view name,
                                                               std::size_t needed, std::chrono::nanoseconds timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto found = find(asio::query(executor, asio::execution::context), key, name);
  co_await connected<Executor>(found, needed, timeout);
}

// These functions look in the context of an executor when the operation begins. Handlers
// without an executor are posted to that executor.

struct lookup_target : executor_target<asio::any_io_executor> {
  std::string key;

  [[nodiscard]] std::shared_ptr<pool_impl> find() const {
    return try_find(asio::query(executor, asio::execution::context), key);
  }
};

template <asio::completion_token_for<void(error_code, channel_ptr)> Token>
auto async_get_by_key(const executor_or_context& where, std::string key, std::chrono::nanoseconds timeout,
                      Token&& token) {
  auto begin = [timeout](auto handler, const lookup_target& target) {
    if (const auto pool = target.find())
      begin_get(std::move(handler), target.executor, *pool, timeout);
    else
      complete_now(std::move(handler), target.executor, system_fallback(), make_error_code(errc::not_started),
                   channel_ptr());
  };
  return asio::async_initiate<Token, void(error_code, channel_ptr)>(
      initiation(lookup_target{{where.executor()}, std::move(key)}, begin), token);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_connected_by_key(const executor_or_context& where, std::string key, std::size_t needed,
                            std::chrono::nanoseconds timeout, Token&& token) {
  auto begin = [needed, timeout](auto handler, const lookup_target& target) {
    if (const auto pool = target.find())
      begin_connected(std::move(handler), target.executor, *pool, needed, timeout);
    else
      complete_now(std::move(handler), target.executor, system_fallback(), make_error_code(errc::not_started));
  };
  return asio::async_initiate<Token, void(error_code)>(
      initiation(lookup_target{{where.executor()}, std::move(key)}, begin), token);
}

}  // namespace conn_grpc::detail
