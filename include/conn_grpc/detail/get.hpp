// SPDX-License-Identifier: BSL-1.0
// What public templates do to get a channel, now or later, without knowing what channels are.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/initiation.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <conn_grpc/detail/run.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/options.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace conn_grpc::detail {

// A timeout of zero: the operation does not wait.

constexpr std::chrono::nanoseconds no_timeout = (std::chrono::nanoseconds::max)();

/// Of any duration, also of one that nanoseconds cannot hold. What is not above zero is zero.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds timeout_of(std::chrono::duration<Rep, Period> timeout) {
  using seconds = std::chrono::duration<long double>;
  if (!(timeout > timeout.zero())) return {};
  return seconds(timeout) < seconds(no_timeout) ? std::chrono::ceil<std::chrono::nanoseconds>(seconds(timeout))
                                                : no_timeout;
}

using get_handler = asio::any_completion_handler<void(const fallback&, error_code, channel_ptr)>;
using size_handler = asio::any_completion_handler<void(const fallback&, error_code)>;

/// A connected channel, or the error. Throws what `channel_options::mock` throws. The mock, or a telemetry handler, may
/// destroy the owner of `pool`.
[[nodiscard]] CONN_GRPC_API boost::system::result<channel_ptr> try_pick(pool_impl& pool);

/// The same, but throws the error, too: boost::system::system_error, whose text names the pool and the reason.
[[nodiscard]] CONN_GRPC_API channel_ptr pick_or_throw(pool_impl& pool);

/// The same. Null when the get has to wait: no channel is connected, or other callers wait already.
[[nodiscard]] CONN_GRPC_API channel_ptr pick_or_wait(pool_impl& pool, std::chrono::nanoseconds timeout);

/// The same, without an exception for the error. A boost::system::system_error that the mock throws becomes its code:
/// an exception of an initiating function leaves io_context::run if a coroutine calls it.
[[nodiscard]] CONN_GRPC_API std::optional<boost::system::result<channel_ptr>> pick_for_handler(
    pool_impl& pool, std::chrono::nanoseconds timeout);

/// Success when that many are connected. Null when the caller has to wait.
[[nodiscard]] CONN_GRPC_API std::optional<error_code> size_unless_waiting(const pool_impl& pool, std::size_t needed);

/// @param handler posts to `handler_context`: it may be called by any thread.
CONN_GRPC_API void wait_for_channel(pool_impl& pool, get_handler handler, asio::execution_context& handler_context,
                                    std::chrono::nanoseconds timeout);
CONN_GRPC_API void wait_for_size(pool_impl& pool, size_handler handler, asio::execution_context& handler_context,
                                 std::size_t needed, std::chrono::nanoseconds timeout);

/// @param by_default where it is posted to, if it has no executor of its own.
template <class Handler>
void begin_get(Handler handler, const asio::any_io_executor& by_default, pool_impl& pool,
               std::chrono::nanoseconds timeout) {
  auto picked = pick_for_handler(pool, timeout);
  if (picked) {
    const auto failed = *picked ? error_code() : picked->error();
    complete_now(std::move(handler), by_default, fallback_of(pool), failed,
                 *picked ? **std::move(picked) : channel_ptr());
  } else {
    posted_handler posted(std::move(handler), by_default);
    auto& handler_context = posted.context();
    wait_for_channel(pool, std::move(posted), handler_context, timeout);
  }
}

template <class Handler>
void begin_connected(Handler handler, const asio::any_io_executor& by_default, pool_impl& pool, std::size_t needed,
                     std::chrono::nanoseconds timeout) {
  const auto known = size_unless_waiting(pool, needed);
  if (known) {
    complete_now(std::move(handler), by_default, fallback_of(pool), *known);
  } else {
    posted_handler posted(std::move(handler), by_default);
    auto& handler_context = posted.context();
    wait_for_size(pool, std::move(posted), handler_context, needed, timeout);
  }
}

template <asio::completion_token_for<void(error_code, channel_ptr)> Token>
auto async_get(std::shared_ptr<pool_impl> from, std::chrono::nanoseconds timeout, Token&& token) {
  auto begin = [timeout](auto handler, const pool_target& target) {
    begin_get(std::move(handler), target.get_executor(), *target.pool, timeout);
  };
  return asio::async_initiate<Token, void(error_code, channel_ptr)>(initiation(pool_target{std::move(from)}, begin),
                                                                    token);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_connected(std::shared_ptr<pool_impl> from, std::size_t needed, std::chrono::nanoseconds timeout,
                     Token&& token) {
  auto begin = [needed, timeout](auto handler, const pool_target& target) {
    begin_connected(std::move(handler), target.get_executor(), *target.pool, needed, timeout);
  };
  return asio::async_initiate<Token, void(error_code)>(initiation(pool_target{std::move(from)}, begin), token);
}

/// Throws boost::system::system_error, whose text names the pool and the reason.
[[noreturn]] CONN_GRPC_API void throw_unavailable(const pool_impl& pool, error_code why);
CONN_GRPC_API void throw_if_too_few(const pool_impl& pool, error_code failed, std::size_t needed);

/// The owner of `from` must exist when it is awaited; it may be destroyed meanwhile.
template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<channel_ptr, Executor> get(const std::shared_ptr<pool_impl>& from,
                                                                       std::chrono::nanoseconds timeout) {
  if (auto channel = pick_or_wait(*from, timeout)) co_return std::move(channel);
  const auto pool = from;  // its owner may go now
  auto [failed, channel] = co_await async_get(pool, timeout, asio::as_tuple(asio::deferred));
  if (failed) throw_unavailable(*pool, failed);
  co_return std::move(channel);
}

template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<void, Executor> connected(const std::shared_ptr<pool_impl>& from,
                                                                      std::size_t needed,
                                                                      std::chrono::nanoseconds timeout) {
  const auto pool = from;  // its owner may go while it waits
  auto known = size_unless_waiting(*pool, needed);
  if (!known) {
    const auto [failed] = co_await async_connected(pool, needed, timeout, asio::as_tuple(asio::deferred));
    known = failed;
  }
  throw_if_too_few(*pool, *known, needed);
}

// Those of the default executor are the library's.
extern template asio::awaitable<channel_ptr> get<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                        std::chrono::nanoseconds timeout);
extern template asio::awaitable<void> connected<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                       std::size_t needed,
                                                                       std::chrono::nanoseconds timeout);

}  // namespace conn_grpc::detail
