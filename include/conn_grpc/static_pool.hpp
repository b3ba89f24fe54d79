// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// A pool that is found by its type.

#include <conn_grpc/static_lifecycle.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace conn_grpc {

/// A pool that is found by its type, so code that uses it needs no reference to an
/// object.
///
///     struct demo_pool : conn_grpc::static_pool<demo_pool> {
///       static conn_grpc::pool_options options() {
///         return {.pool_size = 5, .channel = {.address = "localhost:50051"}};
///       }
///     };
///     demo_pool::async_run(io, asio::detached);
///     auto channel = co_await demo_pool::get_channel();
///
/// Each execution context has its own instance, from `async_run` to `stop`. If
/// `options()` leaves the name empty, the name is that of the type, without namespaces.
/// So two types `a::greeter` and `b::greeter` must set a name if they run in the same
/// context. Otherwise `async_run` ends with errc::name_taken.
///
/// *Thread safety*: Any thread may call any function.
template <class Derived>
class static_pool : public static_lifecycle<Derived, pool_options> {
  using base = static_lifecycle<Derived, pool_options>;

 public:
  /// Returns the connected channel of the instance whose turn it is, to a coroutine. It
  /// looks for the instance in the execution context of the coroutine that awaits the
  /// result. Never waits.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started if no instance
  /// runs there, or errc::not_connected. Throws errc::stopped if `stop` is called
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
  /// after the instance has ended.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_pool::get_channel<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get_channel() {
    return detail::get_by_key<Executor>(base::key(), base::type_name());
  }

  /// Returns the connected channel of the instance whose turn it is, to a coroutine. It
  /// looks for the instance in the execution context of the coroutine that awaits the
  /// result. While no channel is connected, the coroutine waits for one, for `timeout` at
  /// most.
  ///
  /// Waiters complete in the order in which they began. The function does not wait for
  /// `async_run`, with a `timeout` of zero or less, or for a pool of size 0.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started at once if no
  /// instance runs there. Throws errc::not_connected after `timeout`, or errc::stopped if
  /// `stop` is called during the waiting. Throws errc::too_many_waiters at once when
  /// `pool_options::max_waiters` gets wait already. With errc::not_connected and
  /// errc::too_many_waiters, the text has the last error of a channel
  /// (`channel_status::last_error`). Also throws what `channel_options::mock` throws.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// a channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the execution context of that executor.
  ///
  /// *Lifetime*: The instance may be stopped while the coroutine waits. The waiting then
  /// ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_pool::get_channel<E>(timeout)` in an
  /// `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get_channel(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_by_key<Executor>(base::key(), base::type_name(), detail::timeout_of(timeout));
  }

  /// Waits until at least `count` channels of the instance are connected at the same
  /// time. It looks for the instance in the execution context of the coroutine that
  /// awaits the result.
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the function does not wait. It does not wait for `async_run`
  /// either.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started at once if no
  /// instance runs there. Throws errc::stopped if `stop` is called during the waiting.
  /// Throws asio::error::invalid_argument if `count` is above `pool_status::expected_size`.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// a channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The instance may be stopped while the coroutine waits. The waiting then
  /// ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_pool::connected<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::size_t count = 1) {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), count, detail::no_timeout);
  }

  /// Waits until at least `count` channels of the instance are connected at the same
  /// time, for `timeout` at most. It looks for the instance in the execution context of
  /// the coroutine that awaits the result.
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the function does not wait. It does not wait for `async_run`
  /// either.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started at once if no
  /// instance runs there. Throws errc::not_connected after `timeout`, or errc::stopped if
  /// `stop` is called during the waiting. Throws asio::error::invalid_argument if `count`
  /// is above `pool_status::expected_size`. With errc::not_connected, the text has the last
  /// error of a channel (`channel_status::last_error`).
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// a channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the execution context of that executor.
  ///
  /// *Lifetime*: The instance may be stopped while the coroutine waits. The waiting then
  /// ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_pool::connected<E>(count, timeout)` in an
  /// `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::size_t count,
                                                                 std::chrono::duration<Rep, Period> timeout) {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), count, detail::timeout_of(timeout));
  }

  /// Passes the connected channel of the instance whose turn it is to any completion
  /// token. Never waits. The completion signature is void(error_code, channel_ptr).
  ///
  /// *Errors*: Completes with errc::not_started if no instance runs there, or
  /// errc::not_connected. Completes with errc::stopped if `stop` is called meanwhile.
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
  /// handler is posted to the executor of the instance. If there is none, or it throws,
  /// too, the handler is posted to the system executor.
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
  /// @param where An executor or an execution context. The function looks in the
  /// execution context of `where` when the operation begins.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get_channel(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), {}, std::forward<Token>(token));
  }

  /// Passes the connected channel of the instance whose turn it is to any completion
  /// token. While no channel is connected, the operation waits for one, for `timeout` at
  /// most. The completion signature is void(error_code, channel_ptr).
  ///
  /// Waiters complete in the order in which they began. The operation does not wait for
  /// `async_run`, with a `timeout` of zero or less, or for a pool of size 0.
  ///
  /// *Errors*: Completes with errc::not_started at once if no instance runs there.
  /// Completes with errc::not_connected after `timeout`, or errc::stopped if `stop` is
  /// called during the waiting. Completes with errc::too_many_waiters at once when
  /// `pool_options::max_waiters` gets wait already. When `channel_options::mock` throws a
  /// boost::system::system_error, the handler receives its code. Any other exception of
  /// the mock leaves the initiating function.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is the
  /// executor of `where`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to the executor of the instance. If there is none, or it throws,
  /// too, the handler is posted to the system executor. The timeout ends only while a
  /// thread runs the execution context of `where`.
  ///
  /// *Lifetime*: The execution context of `where` must exist when the operation begins.
  /// The instance may be stopped and destroyed during the waiting. The operation then
  /// completes with errc::stopped. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  /// @param where An executor or an execution context. The function looks in the
  /// execution context of `where` when the operation begins.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get_channel(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                                Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Waits until at least `count` channels of the instance are connected at the same
  /// time. Takes any completion token. The completion signature is void(error_code).
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the operation does not wait. It does not wait for
  /// `async_run` either.
  ///
  /// *Errors*: Completes with errc::not_started at once if no instance runs there.
  /// Completes with errc::stopped if `stop` is called during the waiting. Completes with
  /// asio::error::invalid_argument if `count` is above `pool_status::expected_size`.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is the
  /// executor of `where`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to the executor of the instance. If there is none, or it throws,
  /// too, the handler is posted to the system executor.
  ///
  /// *Lifetime*: The execution context of `where` must exist when the operation begins.
  /// The instance may be stopped and destroyed during the waiting. The operation then
  /// completes with errc::stopped. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  /// @param where An executor or an execution context. The function looks in the
  /// execution context of `where` when the operation begins.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::size_t count, Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), count, detail::no_timeout, std::forward<Token>(token));
  }

  /// Waits until at least `count` channels of the instance are connected at the same
  /// time, for `timeout` at most. Takes any completion token. The completion signature is
  /// void(error_code).
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the operation does not wait. It does not wait for
  /// `async_run` either.
  ///
  /// *Errors*: Completes with errc::not_started at once if no instance runs there.
  /// Completes with errc::not_connected after `timeout`, or errc::stopped if `stop` is
  /// called during the waiting. Completes with asio::error::invalid_argument if `count`
  /// is above `pool_status::expected_size`.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is the
  /// executor of `where`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to the executor of the instance. If there is none, or it throws,
  /// too, the handler is posted to the system executor. The timeout ends only while a
  /// thread runs the execution context of `where`.
  ///
  /// *Lifetime*: The execution context of `where` must exist when the operation begins.
  /// The instance may be stopped and destroyed during the waiting. The operation then
  /// completes with errc::stopped. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  /// @param where An executor or an execution context. The function looks in the
  /// execution context of `where` when the operation begins.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::size_t count,
                              std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), count, detail::timeout_of(timeout),
                                          std::forward<Token>(token));
  }

  /// Returns the connected channel whose turn it is, of the instance that runs in
  /// `context`, or an error. Never waits.
  ///
  /// *Errors*: Returns errc::not_started if no instance runs there, or
  /// errc::not_connected. Returns errc::stopped if `stop` is called meanwhile. Throws
  /// only what `channel_options::mock` throws.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Lifetime*: The returned gRPC channel stays valid after its connection is lost, and
  /// after the instance has ended.
  [[nodiscard]] static boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context) {
    return detail::try_get_by_key(context, base::key());
  }

  /// Returns the status of the instance that runs in `context`. If none runs there, it
  /// has only the name, and no channels.
  ///
  /// *Thread safety*: Any thread may call this function. It locks the status of each
  /// channel while it copies it.
  [[nodiscard]] static pool_status status(asio::execution_context& context) {
    return detail::status_by_key(context, base::key(), base::type_name());
  }
};

}  // namespace conn_grpc
