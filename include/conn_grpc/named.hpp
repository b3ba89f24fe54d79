// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <conn_grpc/detail/found.hpp>
#include <conn_grpc/detail/wait.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc {

/// The next channel of the pool that runs under this name in an execution context, or the channel of the `channel` that
/// does; or why there is none: errc::not_connected, or errc::not_started when nothing runs under this name.
///
/// A name is taken from `async_run` to `stop()`. Never blocks, but for a look into a table under a mutex when nothing
/// runs under it, or a name has changed hands since the calling thread last asked. Thread-safe. Throws only what
/// `channel_options::mock` throws.
[[nodiscard]] inline boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context,
                                                                        std::string_view name) {
  return detail::try_get_found(context, name);
}

/// The same for coroutines, in the execution context of the coroutine that awaits it. Never waits, stays on the
/// coroutine's executor, and throws boost::system::system_error.
/// @tparam Executor of the coroutine that awaits it, where that is not asio::any_io_executor; see
/// `pool::get_channel()`.
template <class Executor = asio::any_io_executor>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::string name) {
  const auto executor = co_await asio::this_coro::executor;
  co_return detail::get_found(asio::query(executor, asio::execution::context), name, name);
}

/// The same, but waits as `pool::get_channel(timeout)` does while nothing is connected. It does not wait until
/// something runs under this name.
template <class Executor = asio::any_io_executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::string name,
                                                                 std::chrono::duration<Rep, Period> timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto found = detail::find(asio::query(executor, asio::execution::context), name, name);
  co_return co_await detail::get<Executor>(found, detail::patience_of(timeout));
}

/// Both for any completion token; signature void(error_code, channel_ptr). What runs under the name in the execution
/// context of `where` is looked up when the operation begins.
///
/// *Errors*: errc::not_started when nothing does; else those of `pool::async_get_channel`.
///
/// *Cancellation* and *thread safety*: as `pool::async_get_channel`.
///
/// *Executor*: the handler's associated executor, by default that of `where`.
/// @param where an executor, or an execution context.
template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
auto async_get_channel(const detail::executor_or_context& where, std::string name, Token&& token = {}) {
  return detail::async_get_found(where, std::move(name), {}, std::forward<Token>(token));
}
template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
auto async_get_channel(const detail::executor_or_context& where, std::string name,
                       std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
  return detail::async_get_found(where, std::move(name), detail::patience_of(timeout), std::forward<Token>(token));
}

/// Waits until `count` channels of the pool that runs under this name are connected, or the `channel` that does, as
/// `pool::connected` does; in the execution context of the coroutine that awaits it. Throws
/// boost::system::system_error: errc::not_started at once when nothing runs under this name.
template <class Executor = asio::any_io_executor>
[[nodiscard]] asio::awaitable<void, Executor> connected(std::string name, std::size_t count = 1) {
  co_await detail::found_connected<Executor>(name, name, count, detail::no_end);
}
template <class Executor = asio::any_io_executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<void, Executor> connected(std::string name, std::size_t count,
                                                        std::chrono::duration<Rep, Period> timeout) {
  co_await detail::found_connected<Executor>(name, name, count, detail::patience_of(timeout));
}

/// Both for any completion token; signature void(error_code). *Errors*, *cancellation*, *thread safety* and *executor*:
/// as `async_get_channel`.
/// @param where an executor, or an execution context.
template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
auto async_connected(const detail::executor_or_context& where, std::string name, std::size_t count,
                     Token&& token = {}) {
  return detail::async_found_connected(where, std::move(name), count, detail::no_end, std::forward<Token>(token));
}
template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
auto async_connected(const detail::executor_or_context& where, std::string name, std::size_t count,
                     std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
  return detail::async_found_connected(where, std::move(name), count, detail::patience_of(timeout),
                                       std::forward<Token>(token));
}

}  // namespace conn_grpc
