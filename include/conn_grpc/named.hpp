// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/found.hpp>
#include <conn_grpc/detail/wait.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace conn_grpc {

/// The next channel of the pool that runs under this name in an execution context, or the channel of the `channel` that
/// does; or why there is none: errc::not_connected, or errc::not_started when nothing runs under this name.
///
/// A name is taken from `async_run` to `stop()`. Never blocks, but for a look into a table under a mutex when nothing
/// runs under it, or a name has changed hands since the calling thread last asked. Thread-safe. Throws only what
/// `channel_options::mock` throws.
[[nodiscard]] inline boost::system::result<channel_ptr> try_get_channel(asio::execution_context& context,
                                                                        std::string_view name) {
  return detail::try_get_found(context, name);
}

/// The same for coroutines, in the execution context of the coroutine that awaits it. Never waits, stays on the
/// coroutine's executor, and throws boost::system::system_error.
[[nodiscard]] inline asio::awaitable<channel_ptr> get_channel(std::string name) {
  const auto executor = co_await asio::this_coro::executor;
  co_return detail::get_found(asio::query(executor, asio::execution::context), name, name);
}

/// The same, but waits as `pool::get_channel(timeout)` does while nothing is connected. It does not wait for somebody
/// to run under this name.
template <class Rep, class Period>
[[nodiscard]] asio::awaitable<channel_ptr> get_channel(std::string name, std::chrono::duration<Rep, Period> timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto found = detail::find(asio::query(executor, asio::execution::context), name, name);
  co_return co_await detail::get(found, detail::patience_of(timeout));
}

}  // namespace conn_grpc
