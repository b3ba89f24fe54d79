// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// A channel that is found by its type.

#include <conn_grpc/static_lifecycle.hpp>

#include <chrono>
#include <utility>

namespace conn_grpc {

/// A channel that is found by its type, so code that uses it needs no reference to an
/// object.
///
///     struct demo_channel : conn_grpc::static_channel<demo_channel> {
///       static conn_grpc::channel_options options() {
///         return {.address = "localhost:50051"};
///       }
///     };
///     demo_channel::async_run(io, asio::detached);
///     auto channel = co_await demo_channel::get();
///
/// Each execution context has its own instance, from `async_run` to `stop`. If
/// `options()` leaves the name empty, the name is that of the type, without namespaces.
/// So two types `a::reports` and `b::reports` must set a name if they run in the same
/// context. Otherwise `async_run` ends with errc::name_taken.
///
/// *Thread safety*: Any thread may call any function.
template <class Derived>
class static_channel : public static_lifecycle<Derived, channel_options> {
  using base = static_lifecycle<Derived, channel_options>;

 public:
  /// Returns the gRPC channel of the instance if it is connected, to a coroutine. It
  /// looks for the instance in the execution context of the coroutine that awaits the
  /// result. Never waits.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started if no instance
  /// runs there, or errc::not_connected. Throws errc::stopped if `stop` is called
  /// meanwhile. With errc::not_connected, the text has the last error of the channel
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
  /// asio::any_io_executor: `demo_channel::get<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get() {
    return detail::get_by_key<Executor>(base::key(), base::type_name());
  }

  /// Returns the gRPC channel of the instance to a coroutine. It looks for the instance
  /// in the execution context of the coroutine that awaits the result. While the channel
  /// is not connected, the coroutine waits until it is, for `timeout` at most.
  ///
  /// Any number of callers may wait. They complete in the order in which they began. The
  /// function does not wait for `async_run`, or with a `timeout` of zero or less.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started at once if no
  /// instance runs there. Throws errc::not_connected after `timeout`, or errc::stopped if
  /// `stop` is called during the waiting. With errc::not_connected, the text has the last
  /// error of the channel (`channel_status::last_error`). Also throws what
  /// `channel_options::mock` throws.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// the channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the execution context of that executor.
  ///
  /// *Lifetime*: The instance may be stopped while the coroutine waits. The waiting then
  /// ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_channel::get<E>(timeout)` in an
  /// `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_by_key<Executor>(base::key(), base::type_name(), detail::timeout_of(timeout));
  }

  /// Waits until the channel of the instance is connected. It looks for the instance in
  /// the execution context of the coroutine that awaits the result. With
  /// `channel_options::mock` it does not wait. It does not wait for `async_run` either.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started at once if no
  /// instance runs there. Throws errc::stopped if `stop` is called during the waiting.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// the channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The instance may be stopped while the coroutine waits. The waiting then
  /// ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_channel::connected<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<void, Executor> connected() {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), 1, detail::no_timeout);
  }

  /// Waits until the channel of the instance is connected, for `timeout` at most. It
  /// looks for the instance in the execution context of the coroutine that awaits the
  /// result. With `channel_options::mock` it does not wait. It does not wait for
  /// `async_run` either.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started at once if no
  /// instance runs there. Throws errc::not_connected after `timeout`, or errc::stopped if
  /// `stop` is called during the waiting. With errc::not_connected, the text has the last
  /// error of the channel (`channel_status::last_error`).
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// the channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the execution context of that executor.
  ///
  /// *Lifetime*: The instance may be stopped while the coroutine waits. The waiting then
  /// ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `demo_channel::connected<E>(timeout)` in an
  /// `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::chrono::duration<Rep, Period> timeout) {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), 1, detail::timeout_of(timeout));
  }

  /// Passes the gRPC channel of the instance, if it is connected, to any completion
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
  static auto async_get(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), {}, std::forward<Token>(token));
  }

  /// Passes the gRPC channel of the instance to any completion token. While it is not
  /// connected, the operation waits until it is, for `timeout` at most. The completion
  /// signature is void(error_code, channel_ptr).
  ///
  /// Any number of operations may wait. They complete in the order in which they began.
  /// The operation does not wait for `async_run`, or with a `timeout` of zero or less.
  ///
  /// *Errors*: Completes with errc::not_started at once if no instance runs there.
  /// Completes with errc::not_connected after `timeout`, or errc::stopped if `stop` is
  /// called during the waiting. When `channel_options::mock` throws a
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
  static auto async_get(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                        Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Waits until the channel of the instance is connected. Takes any completion token.
  /// The completion signature is void(error_code). With `channel_options::mock` it does
  /// not wait. It does not wait for `async_run` either.
  ///
  /// *Errors*: Completes with errc::not_started at once if no instance runs there.
  /// Completes with errc::stopped if `stop` is called during the waiting.
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
  static auto async_connected(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), 1, detail::no_timeout, std::forward<Token>(token));
  }

  /// Waits until the channel of the instance is connected, for `timeout` at most. Takes
  /// any completion token. The completion signature is void(error_code). With
  /// `channel_options::mock` it does not wait. It does not wait for `async_run` either.
  ///
  /// *Errors*: Completes with errc::not_started at once if no instance runs there.
  /// Completes with errc::not_connected after `timeout`, or errc::stopped if `stop` is
  /// called during the waiting.
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
  static auto async_connected(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                              Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), 1, detail::timeout_of(timeout),
                                          std::forward<Token>(token));
  }

  /// Returns the gRPC channel of the instance that runs in `context` if it is connected,
  /// or an error. Never waits.
  ///
  /// *Errors*: Returns errc::not_started if no instance runs there, or
  /// errc::not_connected. Returns errc::stopped if `stop` is called meanwhile. Throws
  /// only what `channel_options::mock` throws.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Lifetime*: The returned gRPC channel stays valid after its connection is lost, and
  /// after the instance has ended.
  [[nodiscard]] static boost::system::result<channel_ptr> try_get(asio::execution_context& context) {
    return detail::try_get_by_key(context, base::key());
  }

  /// Returns the state, the attempts and the last error of the instance that runs in
  /// `context`. If none runs there, the state is channel_state::not_started.
  ///
  /// *Thread safety*: Any thread may call this function. It locks the status while it
  /// copies it.
  [[nodiscard]] static channel_status status(asio::execution_context& context) {
    auto found = detail::status_by_key(context, base::key(), base::type_name());
    if (!found.channels.empty()) return std::move(found.channels.front());
    channel_status none;
    none.name = base::type_name();
    return none;
  }
};

}  // namespace conn_grpc
