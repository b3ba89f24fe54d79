// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <conn_grpc/detail/get.hpp>
#include <conn_grpc/detail/lookup.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc {

/// The next channel of the pool that runs under this name in an execution context, or the channel of the `channel` that
/// does, or why there is none.
///
/// A name is taken from `async_run` to `stop()`. Never blocks, but for a look into a table under a mutex when nothing
/// runs under it, or when names were taken or freed since the calling thread last asked.
///
/// *Errors*: errc::not_connected, or errc::not_started when nothing runs under this name. Throws only what
/// `channel_options::mock` throws.
///
/// *Thread safety*: any thread.
[[nodiscard]] inline boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context,
                                                                        std::string_view name) {
  return detail::try_get_by_key(context, name);
}

/// The same for coroutines, in the execution context of the coroutine that awaits it. Never waits.
///
/// *Errors*: throws boost::system::system_error with errc::not_started when none runs there, else with
/// errc::not_connected. The text says what the last attempt failed with.
///
/// *Cancellation*: none, because it does not wait.
///
/// *Thread safety*: any thread. *Executor*: the coroutine stays on its own.
/// @tparam Executor of the coroutine that awaits it, where that is not asio::any_io_executor; see
/// `pool::get_channel()`.
template <class Executor = asio::any_io_executor>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::string name) {
  const auto executor = co_await asio::this_coro::executor;
  co_return detail::get_by_key(asio::query(executor, asio::execution::context), name, name);
}

/// The same, but while nothing is connected it waits, for `timeout` at most, as `pool::get_channel(timeout)` does. It
/// does not wait until something runs under this name.
///
/// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there,
/// errc::not_connected after `timeout`, errc::stopped when it is stopped meanwhile, errc::too_many_waiters at once when
/// `pool_options::max_waiters` wait already. The text says what the last attempt failed with.
///
/// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
///
/// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
/// keeps the time.
///
/// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @tparam Executor as for `get_channel(name)`.
template <class Executor = asio::any_io_executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::string name,
                                                                 std::chrono::duration<Rep, Period> timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto found = detail::find(asio::query(executor, asio::execution::context), name, name);
  co_return co_await detail::get<Executor>(found, detail::timeout_of(timeout));
}

/// `get_channel(name)` for any completion token; signature void(error_code, channel_ptr). What runs there is looked up
/// in the execution context of `where` when the operation begins.
///
/// *Errors*: errc::not_started when none runs there, else errc::not_connected. What `channel_options::mock` throws: see
/// `pool::async_get_channel`.
///
/// *Executor*: the handler's associated executor, by default that of `where`, calls it; see `pool::async_get_channel`.
///
/// *Cancellation*: none, because it does not wait.
///
/// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @param where an executor, or an execution context.
template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
auto async_get_channel(const detail::executor_or_context& where, std::string name, Token&& token = {}) {
  return detail::async_get_by_key(where, std::move(name), {}, std::forward<Token>(token));
}

/// `get_channel(name, timeout)` for any completion token; signature void(error_code, channel_ptr). What runs there is
/// looked up in the execution context of `where` when the operation begins.
///
/// *Errors*: errc::not_started when none runs there, errc::not_connected after `timeout`, errc::stopped when it is
/// stopped meanwhile, errc::too_many_waiters at once when `pool_options::max_waiters` wait already. What
/// `channel_options::mock` throws: see `pool::async_get_channel`.
///
/// *Executor*: the handler's associated executor, by default that of `where`, calls it; see `pool::async_get_channel`.
///
/// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
///
/// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @param where an executor, or an execution context.
template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
auto async_get_channel(const detail::executor_or_context& where, std::string name,
                       std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
  return detail::async_get_by_key(where, std::move(name), detail::timeout_of(timeout), std::forward<Token>(token));
}

/// Waits until `count` channels of the pool that runs under this name are connected, all at the same time, or the
/// `channel` that does; in the execution context of the coroutine that awaits it. Not counted by
/// `pool_options::max_waiters`.
///
/// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there, errc::stopped when
/// it is stopped meanwhile, asio::error::invalid_argument when `count` is above `pool_size`. The text says what the
/// last attempt failed with.
///
/// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
///
/// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
/// keeps the time.
///
/// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @tparam Executor as for `get_channel(name)`.
template <class Executor = asio::any_io_executor>
[[nodiscard]] asio::awaitable<void, Executor> connected(std::string name, std::size_t count = 1) {
  co_await detail::connected_by_key<Executor>(name, name, count, detail::no_timeout);
}

/// The same, but waits for `timeout` at most.
///
/// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there,
/// errc::not_connected after `timeout`, errc::stopped when it is stopped meanwhile, asio::error::invalid_argument when
/// `count` is above `pool_size`. The text says what the last attempt failed with.
///
/// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
///
/// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
/// keeps the time.
///
/// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @tparam Executor as for `get_channel(name)`.
template <class Executor = asio::any_io_executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<void, Executor> connected(std::string name, std::size_t count,
                                                        std::chrono::duration<Rep, Period> timeout) {
  co_await detail::connected_by_key<Executor>(name, name, count, detail::timeout_of(timeout));
}

/// `connected(name, count)` for any completion token; signature void(error_code). What runs there is looked up in the
/// execution context of `where` when the operation begins.
///
/// *Errors*: errc::not_started when none runs there, errc::stopped when it is stopped meanwhile,
/// asio::error::invalid_argument when `count` is above `pool_size`.
///
/// *Executor*: the handler's associated executor, by default that of `where`, calls it; see `pool::async_get_channel`.
///
/// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
///
/// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @param where an executor, or an execution context.
template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
auto async_connected(const detail::executor_or_context& where, std::string name, std::size_t count,
                     Token&& token = {}) {
  return detail::async_connected_by_key(where, std::move(name), count, detail::no_timeout, std::forward<Token>(token));
}

/// `connected(name, count, timeout)` for any completion token; signature void(error_code). What runs there is looked up
/// in the execution context of `where` when the operation begins.
///
/// *Errors*: errc::not_started when none runs there, errc::not_connected after `timeout`, errc::stopped when it is
/// stopped meanwhile, asio::error::invalid_argument when `count` is above `pool_size`.
///
/// *Executor*: the handler's associated executor, by default that of `where`, calls it; see `pool::async_get_channel`.
///
/// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
///
/// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
/// @param where an executor, or an execution context.
template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
auto async_connected(const detail::executor_or_context& where, std::string name, std::size_t count,
                     std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
  return detail::async_connected_by_key(where, std::move(name), count, detail::timeout_of(timeout),
                                        std::forward<Token>(token));
}

}  // namespace conn_grpc
