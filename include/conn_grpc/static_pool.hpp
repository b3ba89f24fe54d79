// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/static_lifecycle.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace conn_grpc {

/// A pool that is a type: it need not be handed to those who use it.
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
  /// As `pool::get_channel()`, of the instance that runs in the execution context of the coroutine that awaits it.
  /// errc::not_started when none does.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get_channel() {
    return detail::get_found<Executor>(base::key(), base::type_name());
  }

  /// As `pool::get_channel(timeout)` and `pool::connected`. They do not wait for `async_run`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr, Executor> get_channel(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_found<Executor>(base::key(), base::type_name(), detail::patience_of(timeout));
  }
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::size_t count = 1) {
    return detail::found_connected<Executor>(base::key(), base::type_name(), count, detail::no_end);
  }
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void, Executor> connected(std::size_t count,
                                                                 std::chrono::duration<Rep, Period> timeout) {
    return detail::found_connected<Executor>(base::key(), base::type_name(), count, detail::patience_of(timeout));
  }

  /// Both for any completion token, in the execution context of `where`, an executor or an execution context. The
  /// instance is looked up when the operation begins: errc::not_started when none runs. *Executor*: the handler's
  /// associated executor, by default that of `where`. *Errors*, *cancellation*, *thread safety*: as
  /// `pool::async_get_channel`.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get_channel(const detail::executor_or_context& where, Token&& token = {}) {
    return detail::async_get_found(where, base::key(), {}, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  static auto async_get_channel(const detail::executor_or_context& where, std::chrono::duration<Rep, Period> timeout,
                                Token&& token = {}) {
    return detail::async_get_found(where, base::key(), detail::patience_of(timeout), std::forward<Token>(token));
  }

  /// Both for any completion token, in the execution context of `where`, an executor or an execution context. The
  /// instance is looked up when the operation begins: errc::not_started when none runs. *Executor*: the handler's
  /// associated executor, by default that of `where`. *Errors*, *cancellation*, *thread safety*: as
  /// `pool::async_connected`.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::size_t count, Token&& token = {}) {
    return detail::async_found_connected(where, base::key(), count, detail::no_end, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_connected(const detail::executor_or_context& where, std::size_t count,
                              std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_found_connected(where, base::key(), count, detail::patience_of(timeout),
                                         std::forward<Token>(token));
  }

  /// As `pool::try_get_channel()`.
  [[nodiscard]] static boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context) {
    return detail::try_get_found(context, base::key());
  }

  /// As `pool::status()`; without channels when none runs.
  [[nodiscard]] static pool_status status(asio::execution_context& context) {
    return detail::status_of_found(context, base::key(), base::type_name());
  }
};

}  // namespace conn_grpc
