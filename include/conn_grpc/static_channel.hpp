// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/static_lifecycle.hpp>

#include <chrono>
#include <utility>

namespace conn_grpc {

/// A channel that is a type: it need not be handed to the code that uses it.
///
///     struct demo_channel : conn_grpc::static_channel<demo_channel> {
///       static conn_grpc::channel_options options() { return {.address = "localhost:50051"}; }
///     };
///     demo_channel::async_run(io, asio::detached);
///     auto channel = co_await demo_channel::get();
///
/// Each execution context has one of its own. Its name, if `options()` sets none: see `static_pool`.
/// `async_run` and `stop`: see `detail::static_lifecycle`.
template <class Derived>
class static_channel : public detail::static_lifecycle<Derived, channel_options> {
  using base = detail::static_lifecycle<Derived, channel_options>;

 public:
  /// `channel::get()` of the instance that runs in the execution context of the coroutine that awaits it. Never waits.
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
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get() {
    return detail::get_by_key<Executor>(base::key(), base::type_name());
  }

  /// `channel::get(timeout)` of that instance. It does not wait for `async_run`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there,
  /// errc::not_connected after `timeout`, errc::stopped when it is stopped meanwhile. The text says what the last
  /// attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
  /// keeps the time.
  ///
  /// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_by_key<Executor>(base::key(), base::type_name(), detail::timeout_of(timeout));
  }

  /// `channel::connected()` of that instance. It does not wait for `async_run`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there, errc::stopped
  /// when it is stopped meanwhile. The text says what the last attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
  /// keeps the time.
  ///
  /// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get()`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<void, Executor> connected() {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), 1, detail::no_timeout);
  }

  /// `channel::connected(timeout)` of that instance. It does not wait for `async_run`.
  ///
  /// *Errors*: throws boost::system::system_error with errc::not_started at once when none runs there,
  /// errc::not_connected after `timeout`, errc::stopped when it is stopped meanwhile. The text says what the last
  /// attempt failed with.
  ///
  /// *Cancellation*: any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Executor*: the coroutine stays on its own; the execution context in which it runs
  /// keeps the time.
  ///
  /// *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @tparam Executor as for `get()`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::chrono::duration<Rep, Period> timeout) {
    return detail::connected_by_key<Executor>(base::key(), base::type_name(), 1, detail::timeout_of(timeout));
  }

  /// `get()` for any completion token; signature void(error_code, channel_ptr). What runs there is looked up in the
  /// execution context of `where` when the operation begins.
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
  static auto async_get(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), {}, std::forward<Token>(token));
  }

  /// `get(timeout)` for any completion token; signature void(error_code, channel_ptr). What runs there is looked up in
  /// the execution context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, errc::not_connected after `timeout`, errc::stopped when it is
  /// stopped meanwhile. What `channel_options::mock` throws: see `pool::async_get_channel`.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                        Token&& token = {}) {
    return detail::async_get_by_key(where, base::key(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// `connected()` for any completion token; signature void(error_code). What runs there is looked up in the execution
  /// context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, errc::stopped when it is stopped meanwhile.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), 1, detail::no_timeout, std::forward<Token>(token));
  }

  /// `connected(timeout)` for any completion token; signature void(error_code). What runs there is looked up in the
  /// execution context of `where` when the operation begins.
  ///
  /// *Errors*: errc::not_started when none runs there, errc::not_connected after `timeout`, errc::stopped when it is
  /// stopped meanwhile.
  ///
  /// *Executor*: the handler's associated executor, by default that of `where`, calls it; see
  /// `pool::async_get_channel`.
  ///
  /// *Cancellation*: any type, by the handler's slot, ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: any thread. *Lifetime*: what was found may be stopped and destroyed meanwhile: errc::stopped.
  /// @param where an executor, or an execution context.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                              Token&& token = {}) {
    return detail::async_connected_by_key(where, base::key(), 1, detail::timeout_of(timeout),
                                          std::forward<Token>(token));
  }

  /// `channel::try_get()` of the instance that runs in this context.
  ///
  /// *Errors*: errc::not_connected, or errc::not_started when none runs there. Throws only what `channel_options::mock`
  /// throws.
  ///
  /// *Thread safety*: any thread.
  [[nodiscard]] static boost::system::result<channel_ptr> try_get(asio::execution_context& context) {
    return detail::try_get_by_key(context, base::key());
  }

  /// `channel::status()` of the instance that runs in this context; channel_state::not_started when none runs.
  ///
  /// *Thread safety*: any thread.
  [[nodiscard]] static channel_status status(asio::execution_context& context) {
    auto found = detail::status_by_key(context, base::key(), base::type_name());
    if (!found.channels.empty()) return std::move(found.channels.front());
    channel_status none;
    none.name = base::type_name();
    return none;
  }
};

}  // namespace conn_grpc
