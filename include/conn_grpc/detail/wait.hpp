// SPDX-License-Identifier: BSL-1.0
// What public templates do to get a channel, now or later, without knowing what channels are.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/result.hpp>
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

/// The same, but why there is none is thrown, too: boost::system::system_error, whose text says who cannot serve.
[[nodiscard]] CONN_GRPC_API channel_ptr next_or_throw(channels& from);

/// Null when it has to wait: nothing is connected yet, or others wait already. A boost::system::system_error that the
/// mock throws becomes its code, because what an initiating function throws leaves io_context::run, if a coroutine
/// calls it.
[[nodiscard]] CONN_GRPC_API std::optional<boost::system::result<channel_ptr>> next_for_handler(channels& from,
                                                                                               patience timeout);

/// Are that many connected? Null when it has to wait for that.
[[nodiscard]] CONN_GRPC_API std::optional<error_code> size_unless_waiting(const channels& from, std::size_t needed);

/// @param handler posts to `home`: it may be called by any thread.
CONN_GRPC_API void wait_for_channel(channels& from, get_handler handler, asio::execution_context& home,
                                    patience timeout);
CONN_GRPC_API void wait_for_size(channels& from, size_handler handler, asio::execution_context& home,
                                 std::size_t needed, patience timeout);

// By value, below: the arguments that Asio passes on may be gone as soon as another thread completes the operation.

template <asio::completion_token_for<void(error_code, channel_ptr)> Token>
auto async_get(std::shared_ptr<channels> from, patience timeout, Token&& token) {
  return asio::async_initiate<Token, void(error_code, channel_ptr)>(
      [](auto handler, std::shared_ptr<channels> group, patience limit) {
        const auto found = next_for_handler(*group, limit);
        posted_handler posted(std::move(handler), completion_executor(*group));
        if (found) {
          std::move(posted).complete_now(fallback_of(*group), *found ? error_code() : found->error(),
                                         *found ? **found : channel_ptr());
        } else {
          auto& home = posted.context();
          wait_for_channel(*group, std::move(posted), home, limit);
        }
      },
      token, std::move(from), timeout);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_connected(std::shared_ptr<channels> from, std::size_t needed, patience timeout, Token&& token) {
  return asio::async_initiate<Token, void(error_code)>(
      [](auto handler, std::shared_ptr<channels> group, std::size_t count, patience limit) {
        const auto known = size_unless_waiting(*group, count);
        posted_handler posted(std::move(handler), completion_executor(*group));
        if (known) {
          std::move(posted).complete_now(fallback_of(*group), *known);
        } else {
          auto& home = posted.context();
          wait_for_size(*group, std::move(posted), home, count, limit);
        }
      },
      token, std::move(from), needed, timeout);
}

/// The owner of `from` must exist when it is awaited; it may be destroyed meanwhile.
[[nodiscard]] CONN_GRPC_API asio::awaitable<channel_ptr> get(const std::shared_ptr<channels>& from, patience timeout);
[[nodiscard]] CONN_GRPC_API asio::awaitable<void> connected(const std::shared_ptr<channels>& from, std::size_t needed,
                                                            patience timeout);

}  // namespace conn_grpc::detail
