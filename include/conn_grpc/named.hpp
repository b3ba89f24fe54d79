// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// Gets by name.

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

/// Returns the next connected channel of the pool or `channel` that runs under `name` in
/// `context`, or an error.
///
/// A pool or channel has its name from `async_run` to `stop()`. The function never
/// blocks, except for a look into a table under a mutex. It looks there if nothing runs
/// under the name. It also does so for a thread's first look-up of the name after any
/// name was claimed or released.
///
/// *Errors*: Returns errc::not_started if nothing runs under the name, or
/// errc::not_connected. Returns errc::stopped if `stop()` is called meanwhile. Throws
/// only what `channel_options::mock` throws.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Lifetime*: The returned gRPC channel stays valid after its connection is lost, and
/// after the pool is destroyed.
[[nodiscard]] inline boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context,
                                                                        std::string_view name) {
  return detail::try_get_by_key(context, name);
}

/// Returns the next connected channel of the pool or `channel` that runs under `name`, to
/// a coroutine. It looks in the execution context of the coroutine that awaits the
/// result. Never waits.
///
/// *Errors*: Throws boost::system::system_error with errc::not_started if nothing runs
/// under the name, or errc::not_connected. Throws errc::stopped if `stop()` is called
/// meanwhile. With errc::not_connected, the text has the last error of a channel
/// (`channel_status::last_error`). Also throws what `channel_options::mock` throws.
///
/// *Cancellation*: None, because the operation does not wait.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The coroutine stays on its own executor.
///
/// *Lifetime*: The returned gRPC channel stays valid after its connection is lost, and
/// after the pool is destroyed.
/// @tparam Executor The executor type of the awaiting coroutine, if it is not
/// asio::any_io_executor: `conn_grpc::get_channel<E>(name)` in an
/// `asio::awaitable<T, E>`.
template <class Executor = asio::any_io_executor>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::string name) {
  const auto executor = co_await asio::this_coro::executor;
  co_return detail::get_by_key(asio::query(executor, asio::execution::context), name, name);
}

/// Returns the next connected channel of the pool or `channel` that runs under `name`, to
/// a coroutine. It looks in the execution context of the coroutine that awaits the
/// result. While no channel is connected, the coroutine waits for one, for `timeout` at
/// most.
///
/// Waiters complete in the order in which they began. The function does not wait until
/// something runs under the name. It does not wait with a `timeout` of zero or less
/// either.
///
/// *Errors*: Throws boost::system::system_error with errc::not_started at once if nothing
/// runs under the name. Throws errc::not_connected after `timeout`, or errc::stopped if
/// `stop()` is called during the waiting. Throws errc::too_many_waiters at once when
/// `pool_options::max_waiters` gets wait already. With errc::not_connected and
/// errc::too_many_waiters, the text has the last error of a channel
/// (`channel_status::last_error`). Also throws what `channel_options::mock` throws.
///
/// *Cancellation*: Any type ends the waiting at once with asio::error::operation_aborted.
/// The text of the exception then has the last error of a channel.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
/// thread runs the execution context of that executor.
///
/// *Lifetime*: The pool may be stopped and destroyed while the coroutine waits. The
/// waiting then ends with errc::stopped.
/// @tparam Executor The executor type of the awaiting coroutine, if it is not
/// asio::any_io_executor: `conn_grpc::get_channel<E>(name, timeout)` in an
/// `asio::awaitable<T, E>`.
template <class Executor = asio::any_io_executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::string name,
                                                                 std::chrono::duration<Rep, Period> timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto found = detail::find(asio::query(executor, asio::execution::context), name, name);
  co_return co_await detail::get<Executor>(found, detail::timeout_of(timeout));
}

/// Passes the next connected channel of the pool or `channel` that runs under `name` to
/// any completion token. Never waits. The completion signature is void(error_code,
/// channel_ptr).
///
/// *Errors*: Completes with errc::not_started if nothing runs under the name, or
/// errc::not_connected. Completes with errc::stopped if `stop()` is called meanwhile.
/// When `channel_options::mock` throws a boost::system::system_error, the handler
/// receives its code. Any other exception of the mock leaves the initiating function.
///
/// *Cancellation*: None, because the operation does not wait.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The handler's associated executor calls the handler. The default is the
/// executor of `where`. Asio must be able to query that executor for its execution
/// context. The handler is never called inside the initiating function, unless its
/// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
/// handler is posted to the executor of the pool that was found. If there is none, or it
/// throws, too, the handler is posted to the system executor.
///
/// *Lifetime*: The execution context of `where` must exist when the operation begins.
/// Until it completes, the operation is outstanding work of the handler's executor. If
/// the execution context of that executor is destroyed first, the handler is destroyed
/// and not called. The context of an asio::any_completion_handler must outlive the
/// completion.
///
/// *Allocator*: The handler's associated allocator is used only in the initiating
/// function and on the handler's executor. Its memory is freed before the handler is
/// called. A handler that is destroyed without a call frees its memory where it is
/// destroyed.
/// @param where An executor or an execution context. The function looks in the execution
/// context of `where` when the operation begins.
template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
auto async_get_channel(const detail::executor_or_context& where, std::string name, Token&& token = {}) {
  return detail::async_get_by_key(where, std::move(name), {}, std::forward<Token>(token));
}

/// Passes the next connected channel of the pool or `channel` that runs under `name` to
/// any completion token. While no channel is connected, the operation waits for one, for
/// `timeout` at most. The completion signature is void(error_code, channel_ptr).
///
/// Waiters complete in the order in which they began. The operation does not wait until
/// something runs under the name. It does not wait with a `timeout` of zero or less
/// either.
///
/// *Errors*: Completes with errc::not_started at once if nothing runs under the name.
/// Completes with errc::not_connected after `timeout`, or errc::stopped if `stop()` is
/// called during the waiting. Completes with errc::too_many_waiters at once when
/// `pool_options::max_waiters` gets wait already. When `channel_options::mock` throws a
/// boost::system::system_error, the handler receives its code. Any other exception of the
/// mock leaves the initiating function.
///
/// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting at
/// once with asio::error::operation_aborted.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The handler's associated executor calls the handler. The default is the
/// executor of `where`. Asio must be able to query that executor for its execution
/// context. The handler is never called inside the initiating function, unless its
/// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
/// handler is posted to the executor of the pool that was found. If there is none, or it
/// throws, too, the handler is posted to the system executor. The timeout ends only while
/// a thread runs the execution context of `where`.
///
/// *Lifetime*: The execution context of `where` must exist when the operation begins. The
/// pool may be stopped and destroyed during the waiting. The operation then completes
/// with errc::stopped. Until it completes, the operation is outstanding work of the
/// handler's executor. If the execution context of that executor is destroyed first, the
/// handler is destroyed and not called. The context of an asio::any_completion_handler
/// must outlive the completion.
///
/// *Allocator*: The handler's associated allocator is used only in the initiating
/// function and on the handler's executor. Its memory is freed before the handler is
/// called. A handler that is destroyed without a call frees its memory where it is
/// destroyed.
/// @param where An executor or an execution context. The function looks in the execution
/// context of `where` when the operation begins.
template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
auto async_get_channel(const detail::executor_or_context& where, std::string name,
                       std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
  return detail::async_get_by_key(where, std::move(name), detail::timeout_of(timeout), std::forward<Token>(token));
}

/// Waits until at least `count` channels of the pool that runs under `name` are connected
/// at the same time. For a `channel` of that name, `count` is 0 or 1. The function looks
/// in the execution context of the coroutine that awaits the result.
///
/// `pool_options::max_waiters` does not limit these waiters. With `channel_options::mock`
/// the function does not wait. It does not wait until something runs under the name
/// either.
///
/// *Errors*: Throws boost::system::system_error with errc::not_started at once if nothing
/// runs under the name. Throws errc::stopped if `stop()` is called during the waiting.
/// Throws asio::error::invalid_argument if `count` is above `pool_status::expected_size`.
///
/// *Cancellation*: Any type ends the waiting at once with asio::error::operation_aborted.
/// The text of the exception then has the last error of a channel.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The coroutine stays on its own executor.
///
/// *Lifetime*: The pool may be stopped and destroyed while the coroutine waits. The
/// waiting then ends with errc::stopped.
/// @tparam Executor The executor type of the awaiting coroutine, if it is not
/// asio::any_io_executor: `conn_grpc::connected<E>(name)` in an `asio::awaitable<T, E>`.
template <class Executor = asio::any_io_executor>
[[nodiscard]] asio::awaitable<void, Executor> connected(std::string name, std::size_t count = 1) {
  co_await detail::connected_by_key<Executor>(name, name, count, detail::no_timeout);
}

/// Waits until at least `count` channels of the pool that runs under `name` are connected
/// at the same time, for `timeout` at most. For a `channel` of that name, `count` is 0 or
/// 1. The function looks in the execution context of the coroutine that awaits the
/// result.
///
/// `pool_options::max_waiters` does not limit these waiters. With `channel_options::mock`
/// the function does not wait. It does not wait until something runs under the name
/// either.
///
/// *Errors*: Throws boost::system::system_error with errc::not_started at once if nothing
/// runs under the name. Throws errc::not_connected after `timeout`, or errc::stopped if
/// `stop()` is called during the waiting. Throws asio::error::invalid_argument if `count`
/// is above `pool_status::expected_size`. With errc::not_connected, the text has the last
/// error of a channel (`channel_status::last_error`).
///
/// *Cancellation*: Any type ends the waiting at once with asio::error::operation_aborted.
/// The text of the exception then has the last error of a channel.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
/// thread runs the execution context of that executor.
///
/// *Lifetime*: The pool may be stopped and destroyed while the coroutine waits. The
/// waiting then ends with errc::stopped.
/// @tparam Executor The executor type of the awaiting coroutine, if it is not
/// asio::any_io_executor: `conn_grpc::connected<E>(name, count, timeout)` in an
/// `asio::awaitable<T, E>`.
template <class Executor = asio::any_io_executor, class Rep, class Period>
[[nodiscard]] asio::awaitable<void, Executor> connected(std::string name, std::size_t count,
                                                        std::chrono::duration<Rep, Period> timeout) {
  co_await detail::connected_by_key<Executor>(name, name, count, detail::timeout_of(timeout));
}

/// Waits until at least `count` channels of the pool that runs under `name` are connected
/// at the same time. Takes any completion token. For a `channel` of that name, `count` is
/// 0 or 1. The completion signature is void(error_code).
///
/// `pool_options::max_waiters` does not limit these waiters. With `channel_options::mock`
/// the operation does not wait. It does not wait until something runs under the name
/// either.
///
/// *Errors*: Completes with errc::not_started at once if nothing runs under the name.
/// Completes with errc::stopped if `stop()` is called during the waiting. Completes with
/// asio::error::invalid_argument if `count` is above `pool_status::expected_size`.
///
/// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting at
/// once with asio::error::operation_aborted.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The handler's associated executor calls the handler. The default is the
/// executor of `where`. Asio must be able to query that executor for its execution
/// context. The handler is never called inside the initiating function, unless its
/// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
/// handler is posted to the executor of the pool that was found. If there is none, or it
/// throws, too, the handler is posted to the system executor.
///
/// *Lifetime*: The execution context of `where` must exist when the operation begins. The
/// pool may be stopped and destroyed during the waiting. The operation then completes
/// with errc::stopped. Until it completes, the operation is outstanding work of the
/// handler's executor. If the execution context of that executor is destroyed first, the
/// handler is destroyed and not called. The context of an asio::any_completion_handler
/// must outlive the completion.
///
/// *Allocator*: The handler's associated allocator is used only in the initiating
/// function and on the handler's executor. Its memory is freed before the handler is
/// called. A handler that is destroyed without a call frees its memory where it is
/// destroyed.
/// @param where An executor or an execution context. The function looks in the execution
/// context of `where` when the operation begins.
template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
auto async_connected(const detail::executor_or_context& where, std::string name, std::size_t count,
                     Token&& token = {}) {
  return detail::async_connected_by_key(where, std::move(name), count, detail::no_timeout, std::forward<Token>(token));
}

/// Waits until at least `count` channels of the pool that runs under `name` are connected
/// at the same time, for `timeout` at most. Takes any completion token. For a `channel`
/// of that name, `count` is 0 or 1. The completion signature is void(error_code).
///
/// `pool_options::max_waiters` does not limit these waiters. With `channel_options::mock`
/// the operation does not wait. It does not wait until something runs under the name
/// either.
///
/// *Errors*: Completes with errc::not_started at once if nothing runs under the name.
/// Completes with errc::not_connected after `timeout`, or errc::stopped if `stop()` is
/// called during the waiting. Completes with asio::error::invalid_argument if `count` is
/// above `pool_status::expected_size`.
///
/// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting at
/// once with asio::error::operation_aborted.
///
/// *Thread safety*: Any thread may call this function.
///
/// *Executor*: The handler's associated executor calls the handler. The default is the
/// executor of `where`. Asio must be able to query that executor for its execution
/// context. The handler is never called inside the initiating function, unless its
/// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
/// handler is posted to the executor of the pool that was found. If there is none, or it
/// throws, too, the handler is posted to the system executor. The timeout ends only while
/// a thread runs the execution context of `where`.
///
/// *Lifetime*: The execution context of `where` must exist when the operation begins. The
/// pool may be stopped and destroyed during the waiting. The operation then completes
/// with errc::stopped. Until it completes, the operation is outstanding work of the
/// handler's executor. If the execution context of that executor is destroyed first, the
/// handler is destroyed and not called. The context of an asio::any_completion_handler
/// must outlive the completion.
///
/// *Allocator*: The handler's associated allocator is used only in the initiating
/// function and on the handler's executor. Its memory is freed before the handler is
/// called. A handler that is destroyed without a call frees its memory where it is
/// destroyed.
/// @param where An executor or an execution context. The function looks in the execution
/// context of `where` when the operation begins.
template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
auto async_connected(const detail::executor_or_context& where, std::string name, std::size_t count,
                     std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
  return detail::async_connected_by_key(where, std::move(name), count, detail::timeout_of(timeout),
                                        std::forward<Token>(token));
}

}  // namespace conn_grpc
