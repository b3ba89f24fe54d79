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

/// How long to wait at most. Zero: not at all.
using patience = std::chrono::nanoseconds;
constexpr patience no_end = (patience::max)();

/// Of any duration, also of one that nanoseconds cannot hold. What is not above zero is zero.
template <class Rep, class Period>
constexpr patience patience_of(std::chrono::duration<Rep, Period> timeout) {
  using seconds = std::chrono::duration<long double>;
  if (!(timeout > timeout.zero())) return {};
  return seconds(timeout) < seconds(no_end) ? std::chrono::ceil<patience>(seconds(timeout)) : no_end;
}

using get_handler = asio::any_completion_handler<void(const fallback&, error_code, channel_ptr)>;
using size_handler = asio::any_completion_handler<void(const fallback&, error_code)>;

/// Throws what `channel_options::mock` throws. The mock, or a telemetry handler, may destroy the owner of `from`.
[[nodiscard]] CONN_GRPC_API boost::system::result<channel_ptr> next(channels& from);

/// The same, but why there is none is thrown, too: boost::system::system_error, whose text names the pool and the
/// reason.
[[nodiscard]] CONN_GRPC_API channel_ptr next_or_throw(channels& from);

/// Null when it has to wait: nothing is connected yet, or others wait already. A boost::system::system_error that the
/// mock throws becomes its code, because what an initiating function throws leaves io_context::run, if a coroutine
/// calls it.
[[nodiscard]] CONN_GRPC_API std::optional<boost::system::result<channel_ptr>> next_for_handler(channels& from,
                                                                                               patience timeout);

/// Success when that many are connected. Null when the caller has to wait.
[[nodiscard]] CONN_GRPC_API std::optional<error_code> size_unless_waiting(const channels& from, std::size_t needed);

/// @param handler posts to `home`: it may be called by any thread.
CONN_GRPC_API void wait_for_channel(channels& from, get_handler handler, asio::execution_context& home,
                                    patience timeout);
CONN_GRPC_API void wait_for_size(channels& from, size_handler handler, asio::execution_context& home,
                                 std::size_t needed, patience timeout);

/// @param by_default where it is posted to, if it has no executor of its own.
template <class Handler>
void begin_get(Handler handler, const asio::any_io_executor& by_default, channels& group, patience timeout) {
  auto found = next_for_handler(group, timeout);
  if (found) {
    const auto failed = *found ? error_code() : found->error();
    complete_now(std::move(handler), by_default, fallback_of(group), failed,
                 *found ? **std::move(found) : channel_ptr());
  } else {
    posted_handler posted(std::move(handler), by_default);
    auto& home = posted.context();
    wait_for_channel(group, std::move(posted), home, timeout);
  }
}

template <class Handler>
void begin_connected(Handler handler, const asio::any_io_executor& by_default, channels& group, std::size_t needed,
                     patience timeout) {
  const auto known = size_unless_waiting(group, needed);
  if (known) {
    complete_now(std::move(handler), by_default, fallback_of(group), *known);
  } else {
    posted_handler posted(std::move(handler), by_default);
    auto& home = posted.context();
    wait_for_size(group, std::move(posted), home, needed, timeout);
  }
}

template <asio::completion_token_for<void(error_code, channel_ptr)> Token>
auto async_get(std::shared_ptr<channels> from, patience timeout, Token&& token) {
  auto begin = [timeout](auto handler, const channels_target& target) {
    begin_get(std::move(handler), target.get_executor(), *target.group, timeout);
  };
  return asio::async_initiate<Token, void(error_code, channel_ptr)>(initiation(channels_target{std::move(from)}, begin),
                                                                    token);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_connected(std::shared_ptr<channels> from, std::size_t needed, patience timeout, Token&& token) {
  auto begin = [needed, timeout](auto handler, const channels_target& target) {
    begin_connected(std::move(handler), target.get_executor(), *target.group, needed, timeout);
  };
  return asio::async_initiate<Token, void(error_code)>(initiation(channels_target{std::move(from)}, begin), token);
}

/// Null when the get has to wait. Else as `next_or_throw`.
[[nodiscard]] CONN_GRPC_API channel_ptr next_or_throw_unless_waiting(channels& from, patience timeout);

/// Throws boost::system::system_error, whose text names the pool and the reason.
[[noreturn]] CONN_GRPC_API void throw_unavailable(const channels& from, error_code why);
CONN_GRPC_API void throw_if_too_few(const channels& from, error_code failed, std::size_t needed);

/// The owner of `from` must exist when it is awaited; it may be destroyed meanwhile.
template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<channel_ptr, Executor> get(const std::shared_ptr<channels>& from,
                                                                       patience timeout) {
  if (auto channel = next_or_throw_unless_waiting(*from, timeout)) co_return std::move(channel);
  const auto group = from;  // its owner may go now
  auto [failed, channel] = co_await async_get(group, timeout, asio::as_tuple(asio::deferred));
  if (failed) throw_unavailable(*group, failed);
  co_return std::move(channel);
}

template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<void, Executor> connected(const std::shared_ptr<channels>& from,
                                                                      std::size_t needed, patience timeout) {
  const auto group = from;  // its owner may go while it waits
  auto known = size_unless_waiting(*group, needed);
  if (!known) {
    const auto [failed] = co_await async_connected(group, needed, timeout, asio::as_tuple(asio::deferred));
    known = failed;
  }
  throw_if_too_few(*group, *known, needed);
}

// Those of the default executor are the library's.
extern template asio::awaitable<channel_ptr> get<asio::any_io_executor>(const std::shared_ptr<channels>& from,
                                                                        patience timeout);
extern template asio::awaitable<void> connected<asio::any_io_executor>(const std::shared_ptr<channels>& from,
                                                                       std::size_t needed, patience timeout);

}  // namespace conn_grpc::detail
