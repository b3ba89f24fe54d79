// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/wait.hpp>
#include <conn_grpc/lifecycle.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <chrono>
#include <concepts>
#include <utility>

namespace conn_grpc {

/// One gRPC channel with a TCP connection of its own, kept connected. Under load one connection may be too few: servers
/// limit the streams of each; see `pool`.
///
/// Thread-safety, destruction and cancellation: see `lifecycle`.
class CONN_GRPC_API channel : public lifecycle {
 public:
  /// Touches no network.
  /// @throws boost::system::system_error with errc::invalid_options and the name of the field that is wrong.
  channel(executor_type executor, channel_options options);

  template <std::derived_from<asio::execution_context> Context>
  channel(Context& context, channel_options options)
      : channel(executor_type(context.get_executor()), std::move(options)) {}

  /// The gRPC channel while it is connected, or why not: errc::not_connected, not_started or stopped.
  ///
  /// Never blocks: no lock, no allocation, no system call, unless telemetry is attached to it. Thread-safe. Throws only
  /// what `channel_options::mock` throws.
  [[nodiscard]] boost::system::result<channel_ptr> try_get() { return detail::next(*channels()); }

  /// `try_get()` for coroutines: never waits, stays on the coroutine's executor, and throws
  /// boost::system::system_error, whose text says what the last attempt failed with. Thread-safe. The channel must
  /// exist when it is awaited.
  [[nodiscard]] asio::awaitable<channel_ptr> get() { co_return detail::next_or_throw(*channels()); }

  /// As `pool::get_channel(timeout)`; any number may wait.
  template <class Rep, class Period>
  [[nodiscard]] asio::awaitable<channel_ptr> get(std::chrono::duration<Rep, Period> timeout) {
    return detail::get(channels(), detail::patience_of(timeout));
  }

  /// As `pool::async_get_channel`.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get(Token&& token = {}) {
    return detail::async_get(channels(), {}, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_get(channels(), detail::patience_of(timeout), std::forward<Token>(token));
  }

  /// Thread-safe. Locks the status for the time of a copy.
  [[nodiscard]] channel_status status() const;
};

}  // namespace conn_grpc
