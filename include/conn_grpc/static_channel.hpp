// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/static_lifecycle.hpp>

#include <chrono>
#include <utility>

namespace conn_grpc {

/// A channel that is a type: it need not be handed to those who use it.
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
  /// As `channel::get()`, of the instance that runs in the execution context of the coroutine that awaits it.
  /// errc::not_started when none does.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get() {
    return detail::get_found<Executor>(base::key(), base::type_name());
  }

  /// As `channel::get(timeout)` and `channel::connected`. They do not wait for `async_run`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_found<Executor>(base::key(), base::type_name(), detail::patience_of(timeout));
  }
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<void, Executor> connected() {
    return detail::found_connected<Executor>(base::key(), base::type_name(), 1, detail::no_end);
  }
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::chrono::duration<Rep, Period> timeout) {
    return detail::found_connected<Executor>(base::key(), base::type_name(), 1, detail::patience_of(timeout));
  }

  /// Both for any completion token, in the execution context of `where`, an executor or an execution context. The
  /// instance is looked up when the operation begins: errc::not_started when none runs. *Executor*: the handler's
  /// associated executor, by default that of `where`. *Errors*, *cancellation*, *thread safety*: as
  /// `channel::async_get`.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_get_found(where, base::key(), {}, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                        Token&& token = {}) {
    return detail::async_get_found(where, base::key(), detail::patience_of(timeout), std::forward<Token>(token));
  }

  /// Both for any completion token, in the execution context of `where`, an executor or an execution context. The
  /// instance is looked up when the operation begins: errc::not_started when none runs. *Executor*: the handler's
  /// associated executor, by default that of `where`. *Errors*, *cancellation*, *thread safety*: as
  /// `channel::async_connected`.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_found_connected(where, base::key(), 1, detail::no_end, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                              Token&& token = {}) {
    return detail::async_found_connected(where, base::key(), 1, detail::patience_of(timeout),
                                         std::forward<Token>(token));
  }

  /// As `channel::try_get()`.
  [[nodiscard]] static boost::system::result<channel_ptr> try_get(asio::execution_context& context) {
    return detail::try_get_found(context, base::key());
  }

  /// As `channel::status()`; channel_state::not_started when none runs.
  [[nodiscard]] static channel_status status(asio::execution_context& context) {
    auto found = detail::status_of_found(context, base::key(), base::type_name());
    if (!found.channels.empty()) return std::move(found.channels.front());
    channel_status none;
    none.name = base::type_name();
    return none;
  }
};

}  // namespace conn_grpc
