// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// A single gRPC channel that is kept connected.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/get.hpp>
#include <conn_grpc/lifecycle.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <chrono>
#include <concepts>
#include <utility>

namespace conn_grpc {

namespace detail {
template <class Executor>
class channel_with_default;
}

/// A gRPC channel with its own TCP connection, which is kept connected between
/// `async_run` and `stop()`.
///
/// Servers limit the number of streams of a connection. So one connection may not be enough
/// under load. A `pool` has several.
///
/// With `channel_options::health_service`, the channel counts as connected for the
/// functions of this class only while its server serves.
///
/// *Thread safety*: Any thread may call any function, also while other threads call
/// functions of the same object. No thread may be calling a function while the object is
/// being destroyed. A get that is still waiting does not count.
///
/// *Executor*: The channel works on a strand of the executor that it was constructed
/// with.
///
/// *Lifetime*: The channel may be destroyed in any state: while it runs, inside one of
/// its own callbacks, before or after its execution context. Destruction stops the
/// channel and waits for nothing. Channels that were handed out stay valid. From then on
/// they are ordinary gRPC channels.
class CONN_GRPC_API channel : public lifecycle {
 public:
  /// Checks the options. Touches no network: the channel connects after `async_run`.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options. The text
  /// names the field that is wrong. It names `executor` when the executor is empty, or
  /// when its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE).
  ///
  /// *Executor*: The channel works on a strand of `executor`.
  ///
  /// *Lifetime*: The execution context may be destroyed before or after the channel.
  channel(const executor_type& executor, const channel_options& options);

  /// Checks the options, and uses the executor of `context`. Touches no network: the
  /// channel connects after `async_run`.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options. The text
  /// names the field that is wrong. It names `executor` when the executor is empty, or
  /// when its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE).
  ///
  /// *Executor*: The channel works on a strand of the context's executor.
  ///
  /// *Lifetime*: The execution context may be destroyed before or after the channel.
  template <std::derived_from<asio::execution_context> Context>
  channel(Context& context, const channel_options& options) : channel(executor_type(context.get_executor()), options) {}

  /// Returns the gRPC channel if it is connected, or an error. Never blocks.
  ///
  /// It takes no lock, allocates nothing and makes no system call, with two exceptions: a
  /// thread's first get allocates 64 bytes, and a telemetry handler or
  /// `channel_options::mock` may do anything.
  ///
  /// *Errors*: Returns errc::not_connected, errc::not_started before `async_run`, or
  /// errc::stopped after `stop()`. Throws only what `channel_options::mock` throws.
  ///
  /// *Thread safety*: Any thread may call this function at any time.
  ///
  /// *Lifetime*: The returned gRPC channel stays valid after its connection is lost, and
  /// after the object is destroyed.
  [[nodiscard]] boost::system::result<channel_ptr> try_get() { return detail::try_pick(*impl()); }

  /// Returns the gRPC channel if it is connected, to a coroutine. Never waits.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_connected,
  /// errc::not_started before `async_run`, or errc::stopped after `stop()`. With
  /// errc::not_connected, the text has the last error of the channel
  /// (`channel_status::last_error`). Also throws what `channel_options::mock` throws.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The object must exist when the result is awaited. The returned gRPC
  /// channel stays valid after its connection is lost, and after the object is destroyed.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `channel.get<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get() {
    co_return detail::pick_or_throw(*impl());
  }

  /// Returns the gRPC channel to a coroutine. While it is not connected, the coroutine
  /// waits until it is, for `timeout` at most.
  ///
  /// Any number of callers may wait. They complete in the order in which they began. The
  /// function does not wait before `async_run`, after `stop()`, or with a `timeout` of
  /// zero or less.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_connected after
  /// `timeout`, or errc::not_started before `async_run`. Throws errc::stopped after
  /// `stop()`, also when that happens during the waiting. With errc::not_connected, the
  /// text has the last error of the channel (`channel_status::last_error`). Also throws
  /// what `channel_options::mock` throws.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// the channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the channel's execution context.
  ///
  /// *Lifetime*: The channel must exist when the result is awaited. It may be destroyed
  /// while the coroutine waits. The waiting then ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `channel.get<E>(timeout)` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get<Executor>(impl(), detail::timeout_of(timeout));
  }

  /// Passes the gRPC channel, if it is connected, to any completion token. Never waits.
  /// The completion signature is void(error_code, channel_ptr).
  ///
  /// *Errors*: Completes with errc::not_connected, errc::not_started before `async_run`,
  /// or errc::stopped after `stop()`. When `channel_options::mock` throws a
  /// boost::system::system_error, the handler receives its code. Any other exception of
  /// the mock leaves the initiating function.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor.
  ///
  /// *Lifetime*: The channel must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get(Token&& token = {}) {
    return detail::async_get(impl(), {}, std::forward<Token>(token));
  }

  /// Passes the gRPC channel to any completion token. While it is not connected, the
  /// operation waits until it is, for `timeout` at most. The completion signature is
  /// void(error_code, channel_ptr).
  ///
  /// Any number of operations may wait. They complete in the order in which they began.
  /// The operation does not wait before `async_run`, after `stop()`, or with a `timeout`
  /// of zero or less.
  ///
  /// *Errors*: Completes with errc::not_connected after `timeout`, or errc::not_started
  /// before `async_run`. Completes with errc::stopped after `stop()`, also when that
  /// happens during the waiting. When `channel_options::mock` throws a
  /// boost::system::system_error, the handler receives its code. Any other exception of
  /// the mock leaves the initiating function.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor. The timeout ends only while a thread runs the channel's
  /// execution context.
  ///
  /// *Lifetime*: The channel must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_get(impl(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Waits until the channel is connected. A service awaits this before it reports that
  /// it is ready. With `channel_options::mock` it does not wait.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started before
  /// `async_run`. Throws errc::stopped after `stop()`, also when that happens during the
  /// waiting.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// the channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The channel must exist when the result is awaited. It may be destroyed
  /// while the coroutine waits. The waiting then ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `channel.connected<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<void, Executor> connected() {
    return detail::connected<Executor>(impl(), 1, detail::no_timeout);
  }

  /// Waits until the channel is connected, for `timeout` at most. A service awaits this
  /// before it reports that it is ready. With `channel_options::mock` it does not wait.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_connected after
  /// `timeout`, or errc::not_started before `async_run`. Throws errc::stopped after
  /// `stop()`, also when that happens during the waiting. With errc::not_connected, the
  /// text has the last error of the channel (`channel_status::last_error`).
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// the channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the channel's execution context.
  ///
  /// *Lifetime*: The channel must exist when the result is awaited. It may be destroyed
  /// while the coroutine waits. The waiting then ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `channel.connected<E>(timeout)` in an
  /// `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<void, Executor> connected(std::chrono::duration<Rep, Period> timeout) {
    return detail::connected<Executor>(impl(), 1, detail::timeout_of(timeout));
  }

  /// Waits until the channel is connected. Takes any completion token. The completion
  /// signature is void(error_code). With `channel_options::mock` it does not wait.
  ///
  /// *Errors*: Completes with errc::not_started before `async_run`. Completes with
  /// errc::stopped after `stop()`, also when that happens during the waiting.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor.
  ///
  /// *Lifetime*: The channel must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(Token&& token = {}) {
    return detail::async_connected(impl(), 1, detail::no_timeout, std::forward<Token>(token));
  }

  /// Waits until the channel is connected, for `timeout` at most. Takes any completion
  /// token. The completion signature is void(error_code). With `channel_options::mock` it
  /// does not wait.
  ///
  /// *Errors*: Completes with errc::not_connected after `timeout`, or errc::not_started
  /// before `async_run`. Completes with errc::stopped after `stop()`, also when that
  /// happens during the waiting.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor. The timeout ends only while a thread runs the channel's
  /// execution context.
  ///
  /// *Lifetime*: The channel must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_connected(impl(), 1, detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Returns the state of the channel, its attempts and its last error.
  ///
  /// *Thread safety*: Any thread may call this function. It locks the status while it
  /// copies it.
  [[nodiscard]] channel_status status() const;

  /// Names a type that differs from `channel` only in the default completion token of its
  /// operations. It is used by `as_default_on_t` of Asio's tokens:
  ///
  ///     using tuple_channel =
  ///         asio::as_tuple_t<asio::use_awaitable_t<>>::as_default_on_t<conn_grpc::channel>;
  template <class Executor>
  struct rebind_executor {
    /// A `channel` whose operations have the default token of `Executor`.
    using other = detail::channel_with_default<Executor>;
  };
};

/// A channel whose operations have the default token of its `Executor`.
template <class Executor>
class detail::channel_with_default : public channel {
  using default_token = asio::default_completion_token_t<Executor>;

 public:
  using executor_type = Executor;
  using channel::channel;

  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_run(Token&& token = {}) {
    return channel::async_run(std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = default_token>
  auto async_get(Token&& token = {}) {
    return channel::async_get(std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = default_token>
  auto async_get(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return channel::async_get(timeout, std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_connected(Token&& token = {}) {
    return channel::async_connected(std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_connected(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return channel::async_connected(timeout, std::forward<Token>(token));
  }
  [[nodiscard]] executor_type get_executor() const noexcept { return executor_type(channel::get_executor()); }
};

}  // namespace conn_grpc
