// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/static_lifecycle.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace conn_grpc {

/// A pool that is a type: it need not be handed to the code that uses it.
///
///     struct demo_pool : conn_grpc::static_pool<demo_pool> {
///       static conn_grpc::pool_options options() { return {.pool_size = 5, .channel = {.address = "localhost:50051"}};
///       }
///     };
///     demo_pool::async_run(io, asio::detached);
///     auto channel = co_await demo_pool::get_channel();
///
/// When `options()` leaves the name empty it is that of the type, without namespaces: two types `a::greeter` and
/// `b::greeter` have to set one, if they run in one context (errc::name_taken).
///
/// Each execution context has one of its own. `async_run` and `stop`: see `detail::static_lifecycle`.
template <class Derived>
class static_pool : public detail::static_lifecycle<Derived, pool_options> {
  using base = detail::static_lifecycle<Derived, pool_options>;

 public:
  /// `pool::get_channel()` of the instance that runs in the execution context of the coroutine that awaits it. Never
  /// waits.
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
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get_channel() {
    return detail::get_by_key<Executor>(base::key(), base::type_name());
  }

  /// `pool::get_channel(timeout)` of that instance. It does not wait for `async_run`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there,
  /// errc::not_connected after `timeout`, errc::stopped when it is stopped meanwhile, errc::too_many_waiters at once
  /// when `pool_options::max_waiters` wait already. The text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
  /// keeps the time.
  ///
  /// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get_channel()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get_channel(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_by_key<Executor>(base::key(), base::type_name(), detail::timeout_of(timeout));
  }

  /// `pool::connected(count)` of that instance. It does not wait for `async_run`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there, errc::stopped
  /// when it is stopped meanwhile, asio::error::invalid_argument when `count` is above `pool_size`. The text says what
  /// the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
  /// keeps the time.
  ///
  /// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get_channel()`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::size_t count = 1) {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), count, detail::no_timeout);
  }

  /// `pool::connected(count, timeout)` of that instance. It does not wait for `async_run`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there,
  /// errc::not_connected after `timeout`, errc::stopped when it is stopped meanwhile, asio::error::invalid_argument
  /// when `count` is above `pool_size`. The text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
  /// keeps the time.
  ///
  /// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get_channel()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::size_t count,
                                                                 std::chrono::duration<Rep, Period> timeout) {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), count, detail::timeout_of(timeout));
  }

  /// `get_channel()` for any completion token; signature void(error_code, channel_ptr). What runs there is looked up in
  /// the execution context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, else errc::not_connected. What `channel_options::mock` throws:
  /// see `pool::async_get_channel`.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: none, because it does not wait.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get_channel(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), {}, std::forward<Token>(token));
  }

  /// `get_channel(timeout)` for any completion token; signature void(error_code, channel_ptr). What runs there is
  /// looked up in the execution context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, errc::not_connected after `timeout`, errc::stopped when it is
  /// stopped meanwhile, errc::too_many_waiters at once when `pool_options::max_waiters` wait already. What
  /// `channel_options::mock` throws: see `pool::async_get_channel`.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get_channel(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                                Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// `connected(count)` for any completion token; signature void(error_code). What runs there is looked up in the
  /// execution context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, errc::stopped when it is stopped meanwhile,
  /// asio::error::invalid_argument when `count` is above `pool_size`.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::size_t count, Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), count, detail::no_timeout, std::forward<Token>(token));
  }

  /// `connected(count, timeout)` for any completion token; signature void(error_code). What runs there is looked up in
  /// the execution context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, errc::not_connected after `timeout`, errc::stopped when it is
  /// stopped meanwhile, asio::error::invalid_argument when `count` is above `pool_size`.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::size_t count,
                              std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), count, detail::timeout_of(timeout),
                                          std::forward<Token>(token));
  }

  /// `pool::try_get_channel()` of the instance that runs in this context.
  ///
  /// *Errors*: errc::not_connected, or errc::not_started when none runs there. Throws only what `channel_options::mock`
  /// throws.
  ///
  /// *Thread safety*: any thread.
  [[nodiscard]] static boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context) {
    return detail::try_get_by_key(context, base::key());
  }

  /// `pool::status()` of the instance that runs in this context; without channels when none runs.
  ///
  /// *Thread safety*: any thread.
  [[nodiscard]] static pool_status status(asio::execution_context& context) {
    return detail::status_by_key(context, base::key(), base::type_name());
  }
};

}  // namespace conn_grpc
