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
#include <cstddef>
#include <utility>

namespace conn_grpc {

namespace detail {
template <class Executor>
class pool_with_default;
}

/// `pool_options::pool_size` gRPC channels, each with a TCP connection of its own, kept connected and handed out in
/// turn.
///
/// There is no checkout: any number of RPCs may use a channel at once, and a channel that was handed out need not be
/// given back. Thread-safety, destruction and cancellation: see `lifecycle`.
class CONN_GRPC_API pool : public lifecycle {
 public:
  /// Touches no network.
  /// @throws boost::system::system_error with errc::invalid_options and the name of the field that is wrong.
  pool(executor_type executor, pool_options options);

  /// The same with the context's executor. Touches no network.
  /// @throws boost::system::system_error with errc::invalid_options and the name of the field that is wrong.
  template <std::derived_from<asio::execution_context> Context>
  pool(Context& context, pool_options options) : pool(executor_type(context.get_executor()), std::move(options)) {}

  /// The connected channel whose turn it is, or why there is none. Over any k x current_size gets each connected
  /// channel is returned k times: every get takes a turn.
  ///
  /// Never blocks: no lock, no allocation, no system call, unless telemetry is attached to it.
  ///
  /// *Errors*: errc::not_connected, errc::not_started or errc::stopped. Throws only what `channel_options::mock`
  /// throws.
  ///
  /// *Thread safety*: any thread.
  [[nodiscard]] boost::system::result<channel_ptr> try_get_channel() { return detail::try_pick(*impl()); }

  /// `try_get_channel()` for coroutines: never waits.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_connected, errc::not_started or errc::stopped. The
  /// text says what the last attempt failed with.
  ///
  /// *Cancellation*: none, because it does not wait.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own. *Lifetime*: the pool must exist when it
  /// is awaited.
  /// @tparam Executor of the coroutine that awaits it, where that is not asio::any_io_executor: `co_await
  /// pool.get_channel<asio::io_context::executor_type>()` in an asio::awaitable<T, asio::io_context::executor_type>.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel() {
    co_return detail::pick_or_throw(*impl());
  }

  /// The same, but while no channel is connected it waits for one, for `timeout` at most. Waiters are served first
  /// come, first served: a newcomer with a timeout does not overtake earlier waiters. Does not wait before `async_run`,
  /// after `stop()`, or for a `timeout` that is not above zero.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_connected after `timeout`, errc::stopped after
  /// `stop()` or when that happens meanwhile, errc::not_started before `async_run`, and errc::too_many_waiters at once
  /// when `pool_options::max_waiters` wait already. The text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the pool's execution context keeps the
  /// time.
  ///
  /// *Lifetime*: the pool must exist when it is awaited. It may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get_channel()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::chrono::duration<Rep, Period> timeout) {
    return detail::get<Executor>(impl(), detail::timeout_of(timeout));
  }

  /// `get_channel()` for any completion token; signature void(error_code, channel_ptr).
  ///
  /// The handler's associated allocator, unless that is std::allocator, holds the handler: it allocates in this
  /// function, and deallocates on the handler's executor, before the handler is called. A handler that is destroyed
  /// uncalled is deallocated where it is destroyed.
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
  /// *Thread safety*: any thread. *Lifetime*: the pool must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get_channel(Token&& token = {}) {
    return detail::async_get(impl(), {}, std::forward<Token>(token));
  }

  /// `get_channel(timeout)` for any completion token; signature void(error_code, channel_ptr). The handler's associated
  /// allocator is used. Does not wait before `async_run`, after `stop()`, or for a `timeout` that is not above zero.
  ///
  /// *Errors*: errc::not_connected after `timeout`, errc::stopped after `stop()` or when that happens meanwhile,
  /// errc::not_started before `async_run`, and errc::too_many_waiters at once when `pool_options::max_waiters` wait
  /// already. When `channel_options::mock` throws a boost::system::system_error, the handler is called with its code;
  /// anything else leaves the initiating function.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the pool must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get_channel(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_get(impl(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Waits until at least `count` channels are connected, all at the same time: what a service does before it says that
  /// it is ready. With a `mock` it does not wait. Not counted by `pool_options::max_waiters`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::stopped after `stop()` or when that happens meanwhile,
  /// errc::not_started before `async_run`, and asio::error::invalid_argument when `count` is above `pool_size`. The
  /// text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the pool's execution context keeps the
  /// time.
  ///
  /// *Lifetime*: the pool must exist when it is awaited. It may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get_channel()`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<void, Executor> connected(std::size_t count = 1) {
    return detail::connected<Executor>(impl(), count, detail::no_timeout);
  }

  /// The same, but waits for `timeout` at most. Not counted by `pool_options::max_waiters`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_connected after `timeout`, errc::stopped after
  /// `stop()` or when that happens meanwhile, errc::not_started before `async_run`, and asio::error::invalid_argument
  /// when `count` is above `pool_size`. The text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the pool's execution context keeps the
  /// time.
  ///
  /// *Lifetime*: the pool must exist when it is awaited. It may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get_channel()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<void, Executor> connected(std::size_t count,
                                                          std::chrono::duration<Rep, Period> timeout) {
    return detail::connected<Executor>(impl(), count, detail::timeout_of(timeout));
  }

  /// `connected(count)` for any completion token; signature void(error_code).
  ///
  /// *Errors*: errc::stopped after `stop()` or when that happens meanwhile, errc::not_started before `async_run`, and
  /// asio::error::invalid_argument when `count` is above `pool_size`.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the pool must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(std::size_t count, Token&& token = {}) {
    return detail::async_connected(impl(), count, detail::no_timeout, std::forward<Token>(token));
  }

  /// `connected(count, timeout)` for any completion token; signature void(error_code).
  ///
  /// *Errors*: errc::not_connected after `timeout`, errc::stopped after `stop()` or when that happens meanwhile,
  /// errc::not_started before `async_run`, and asio::error::invalid_argument when `count` is above `pool_size`.
  ///
  /// *Executor*: the handler is called by its associated executor, which must know its execution context, by default
  /// `get_executor()`; never within this function, unless its associated immediate executor (Boost 1.82) says so. When
  /// that executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system
  /// executor.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: the pool must exist when this is called, not when the operation is
  /// initiated. Waiting is work of the handler's executor; when its execution context is destroyed, the handler is
  /// destroyed uncalled, as Asio does. The context of an asio::any_completion_handler must outlive the completion.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(std::size_t count, std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_connected(impl(), count, detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// *Thread safety*: any thread. Locks each channel's status for the time of a copy.
  [[nodiscard]] pool_status status() const { return full_status(); }

  /// The same with another default token, for `as_default_on_t` of Asio's tokens:
  ///
  ///     using pool = asio::as_tuple_t<asio::use_awaitable_t<>>::as_default_on_t<conn_grpc::pool>;
  template <class Executor>
  struct rebind_executor {
    using other = detail::pool_with_default<Executor>;
  };
};

/// A pool whose operations have the default token of its `Executor`.
template <class Executor>
class detail::pool_with_default : public pool {
  using default_token = asio::default_completion_token_t<Executor>;

 public:
  using executor_type = Executor;
  using pool::pool;

  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_run(Token&& token = {}) {
    return pool::async_run(std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = default_token>
  auto async_get_channel(Token&& token = {}) {
    return pool::async_get_channel(std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = default_token>
  auto async_get_channel(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return pool::async_get_channel(timeout, std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_connected(std::size_t count, Token&& token = {}) {
    return pool::async_connected(count, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_connected(std::size_t count, std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return pool::async_connected(count, timeout, std::forward<Token>(token));
  }
  [[nodiscard]] executor_type get_executor() const noexcept { return executor_type(pool::get_executor()); }
};

}  // namespace conn_grpc
