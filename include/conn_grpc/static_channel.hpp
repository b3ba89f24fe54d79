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
  [[nodiscard]] static asio::awaitable<channel_ptr> get() { return detail::get_found(base::key(), base::type_name()); }

  /// As `channel::get(timeout)`. It does not wait for `async_run`.
  template <class Rep, class Period>
  [[nodiscard]] static asio::awaitable<channel_ptr> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_found(base::key(), base::type_name(), detail::patience_of(timeout));
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
