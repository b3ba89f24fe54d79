// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/lifecycle.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <concepts>
#include <utility>

namespace conn_grpc {

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

  template <std::derived_from<asio::execution_context> Context>
  pool(Context& context, pool_options options) : pool(executor_type(context.get_executor()), std::move(options)) {}

  /// The connected channel whose turn it is, or why there is none: errc::not_connected, not_started or stopped. Over
  /// any k x current_size gets each connected channel is returned k times.
  ///
  /// Never blocks: no lock, no allocation, no system call, unless telemetry is attached to it. Thread-safe. Throws only
  /// what `channel_options::mock` throws.
  [[nodiscard]] boost::system::result<channel_ptr> try_get_channel() { return next_channel(); }

  /// `try_get_channel()` for coroutines: never waits, stays on the coroutine's executor, and throws
  /// boost::system::system_error, whose text says what the last attempt failed with. Thread-safe. The pool must exist
  /// when it is awaited.
  [[nodiscard]] asio::awaitable<channel_ptr> get_channel() {
    auto channel = try_get_channel();
    if (!channel) throw_unavailable(channel.error());
    co_return *std::move(channel);
  }

  /// Thread-safe. Locks each channel's status for the time of a copy.
  [[nodiscard]] pool_status status() const { return whole_status(); }
};

}  // namespace conn_grpc
