// SPDX-License-Identifier: BSL-1.0
#pragma once

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

/// One gRPC channel with a TCP connection of its own, kept connected. Under load one connection may be too few: servers
/// limit the streams of each; see `pool`.
///
/// Thread-safety, destruction and cancellation: see `lifecycle`.
class CONN_GRPC_API channel : public lifecycle {
 public:
  /// Touches no network.
  /// @throws boost::system::system_error with errc::invalid_options and the name of the field that is wrong.
  channel(executor_type executor, channel_options options);

  /// The same with the context's executor. Touches no network.
  /// @throws boost::system::system_error with errc::invalid_options and the name of the field that is wrong.
  template <std::derived_from<asio::execution_context> Context>
  channel(Context& context, channel_options options)
      : channel(executor_type(context.get_executor()), std::move(options)) {}

  /// The gRPC channel while it is connected, or why there is none.
  ///
  /// Never blocks: no lock, no allocation, no system call, unless telemetry is attached to it.
  ///
  /// *Errors*: errc::not_connected, errc::not_started or errc::stopped. Throws only what `channel_options::mock`
  /// throws.
  ///
  /// *Thread safety*: any thread.
  [[nodiscard]] boost::system::result<channel_ptr> try_get() { return detail::try_pick(*impl()); }

  /// `try_get()` for coroutines: never waits.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_connected, errc::not_started or errc::stopped. The
  /// text says what the last attempt failed with.
  ///
  /// *Cancellation*: none, because it does not wait.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own. *Lifetime*: the channel must exist when
  /// it is awaited.
  /// @tparam Executor of the coroutine that awaits it, where that is not asio::any_io_executor; see
  /// `pool::get_channel()`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get() {
    co_return detail::pick_or_throw(*impl());
  }

  /// The same, but while it is not connected it waits until it is, for `timeout` at most. Any number may wait; they are
  /// served first come, first served. Does not wait before `async_run`, after `stop()`, or for a `timeout` that is not
  /// above zero.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_connected after `timeout`, errc::stopped after
  /// `stop()` or when that happens meanwhile, errc::not_started before `async_run`. The text says what the last attempt
  /// failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the channel's execution context keeps the
  /// time.
  ///
  /// *Lifetime*: the channel must exist when it is awaited. It may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get<Executor>(impl(), detail::timeout_of(timeout));
  }

  /// `get()` for any completion token; signature void(error_code, channel_ptr). The handler's associated allocator is
  /// used.
  ///
  /// *Errors*: errc::not_connected, errc::not_started or errc::stopped. When `channel_options::mock` throws a
  /// boost::system::system_error, the handler is called with its code; anything else leaves the initiating function.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: none, because it does not wait.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the channel must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get(Token&& token = {}) {
    return detail::async_get(impl(), {}, std::forward<Token>(token));
  }

  /// `get(timeout)` for any completion token; signature void(error_code, channel_ptr). The handler's associated
  /// allocator is used. Does not wait before `async_run`, after `stop()`, or for a `timeout` that is not above zero.
  ///
  /// *Errors*: errc::not_connected after `timeout`, errc::stopped after `stop()` or when that happens meanwhile,
  /// errc::not_started before `async_run`. When `channel_options::mock` throws a boost::system::system_error, the
  /// handler is called with its code; anything else leaves the initiating function.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the channel must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_get(impl(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Waits until the channel is connected: what a service does before it says that it is ready. With a `mock` it does
  /// not wait.
  ///
  /// *Errors*: throws boost::system::system_error with errc::stopped after `stop()` or when that happens meanwhile,
  /// errc::not_started before `async_run`. The text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the channel's execution context keeps the
  /// time.
  ///
  /// *Lifetime*: the channel must exist when it is awaited. It may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get()`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<void, Executor> connected() {
    return detail::connected<Executor>(impl(), 1, detail::no_timeout);
  }

  /// The same, but waits for `timeout` at most.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_connected after `timeout`, errc::stopped after
  /// `stop()` or when that happens meanwhile, errc::not_started before `async_run`. The text says what the last attempt
  /// failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the channel's execution context keeps the
  /// time.
  ///
  /// *Lifetime*: the channel must exist when it is awaited. It may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<void, Executor> connected(std::chrono::duration<Rep, Period> timeout) {
    return detail::connected<Executor>(impl(), 1, detail::timeout_of(timeout));
  }

  /// `connected()` for any completion token; signature void(error_code).
  ///
  /// *Errors*: errc::stopped after `stop()` or when that happens meanwhile, errc::not_started before `async_run`.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the channel must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(Token&& token = {}) {
    return detail::async_connected(impl(), 1, detail::no_timeout, std::forward<Token>(token));
  }

  /// `connected(timeout)` for any completion token; signature void(error_code).
  ///
  /// *Errors*: errc::not_connected after `timeout`, errc::stopped after `stop()` or when that happens meanwhile,
  /// errc::not_started before `async_run`.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the channel must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_connected(impl(), 1, detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// *Thread safety*: any thread. Locks the status for the time of a copy.
  [[nodiscard]] channel_status status() const;

  /// The same with another default token; see `pool::rebind_executor`.
  template <class Executor>
  struct rebind_executor {
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
