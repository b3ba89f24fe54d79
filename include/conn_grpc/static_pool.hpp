// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/static_lifecycle.hpp>

#include <chrono>
#include <cstddef>

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
  [[nodiscard]] static asio::awaitable<channel_ptr> get_channel() {
    return detail::get_found(base::key(), base::type_name());
  }

  /// As `pool::get_channel(timeout)` and `pool::connected`. They do not wait for `async_run`.
  template <class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr> get_channel(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_found(base::key(), base::type_name(), detail::patience_of(timeout));
  }
  [[nodiscard]] static asio::awaitable<void> connected(std::size_t count = 1) {
    return detail::found_connected(base::key(), base::type_name(), count, detail::no_end);
  }
  template <class Rep, class Period>
  [[nodiscard]] static asio::awaitable<void> connected(std::size_t count, std::chrono::duration<Rep, Period> timeout) {
    return detail::found_connected(base::key(), base::type_name(), count, detail::patience_of(timeout));
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
