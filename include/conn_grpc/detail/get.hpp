// SPDX-License-Identifier: BSL-1.0
// How public templates get a channel, at once or later. They know a pool only as an
// incomplete type.
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
#include <conn_grpc/lease.hpp>
#include <conn_grpc/options.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace conn_grpc::detail {

// With a timeout of zero an operation does not wait.

constexpr std::chrono::nanoseconds no_timeout = (std::chrono::nanoseconds::max)();

/// Converts a timeout of any type. What nanoseconds cannot hold becomes no_timeout. What
/// is not above zero becomes zero.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds timeout_of(std::chrono::duration<Rep, Period> timeout) {
  using seconds = std::chrono::duration<long double>;
  if (!(timeout > timeout.zero())) return {};
  return seconds(timeout) < seconds(no_timeout) ? std::chrono::ceil<std::chrono::nanoseconds>(seconds(timeout))
                                                : no_timeout;
}

using get_handler = asio::any_completion_handler<void(const fallback&, error_code, channel_ptr)>;
using lease_handler = asio::any_completion_handler<void(const fallback&, error_code, lease)>;
using size_handler = asio::any_completion_handler<void(const fallback&, error_code)>;

/// Returns a connected channel, or the error. Throws what `channel_options::mock` throws.
/// The mock, or a telemetry handler, may destroy the owner of `pool`.
[[nodiscard]] CONN_GRPC_API boost::system::result<channel_ptr> try_pick(pool_impl& pool);

/// Returns a connected channel. Throws boost::system::system_error if there is none. Its
/// text names the pool and the reason. Also throws what `channel_options::mock` throws.
[[nodiscard]] CONN_GRPC_API channel_ptr pick_or_throw(pool_impl& pool);

/// As `pick_or_throw`. But it returns null if the get has to wait: no channel is
/// connected, or other callers wait already.
[[nodiscard]] CONN_GRPC_API channel_ptr pick_or_wait(pool_impl& pool, std::chrono::nanoseconds timeout);

/// Returns a connected channel or the error, or nullopt if the get has to wait. A
/// boost::system::system_error of the mock becomes its code. An exception would leave
/// io_context::run when a coroutine calls the initiating function.
[[nodiscard]] CONN_GRPC_API std::optional<boost::system::result<channel_ptr>> pick_for_handler(
    pool_impl& pool, std::chrono::nanoseconds timeout);

/// The same for leases.
[[nodiscard]] CONN_GRPC_API boost::system::result<lease> try_lease(pool_impl& pool);
[[nodiscard]] CONN_GRPC_API lease lease_or_throw(pool_impl& pool);
/// The lease is empty if the caller has to wait.
[[nodiscard]] CONN_GRPC_API lease lease_or_wait(pool_impl& pool, std::chrono::nanoseconds timeout);
[[nodiscard]] CONN_GRPC_API std::optional<boost::system::result<lease>> lease_for_handler(
    pool_impl& pool, std::chrono::nanoseconds timeout);

/// Returns success if that many channels are connected, and nullopt if the caller has to
/// wait.
[[nodiscard]] CONN_GRPC_API std::optional<error_code> size_unless_waiting(const pool_impl& pool, std::size_t needed);

/// Calls the handler once a channel is connected, or the waiting has ended.
/// @param handler It posts to `handler_context`, so any thread may call it.
CONN_GRPC_API void wait_for_channel(pool_impl& pool, get_handler handler, asio::execution_context& handler_context,
                                    std::chrono::nanoseconds timeout);
CONN_GRPC_API void wait_for_lease(pool_impl& pool, lease_handler handler, asio::execution_context& handler_context,
                                  std::chrono::nanoseconds timeout);
CONN_GRPC_API void wait_for_size(pool_impl& pool, size_handler handler, asio::execution_context& handler_context,
                                 std::size_t needed, std::chrono::nanoseconds timeout);

/// What `async_get` gets: a channel, or a lease.
struct channel_get {
  using result_type = channel_ptr;
  static auto pick(pool_impl& pool, std::chrono::nanoseconds timeout) { return pick_for_handler(pool, timeout); }
  static void wait(pool_impl& pool, get_handler handler, asio::execution_context& handler_context,
                   std::chrono::nanoseconds timeout) {
    wait_for_channel(pool, std::move(handler), handler_context, timeout);
  }
};
struct lease_get {
  using result_type = lease;
  static auto pick(pool_impl& pool, std::chrono::nanoseconds timeout) { return lease_for_handler(pool, timeout); }
  static void wait(pool_impl& pool, lease_handler handler, asio::execution_context& handler_context,
                   std::chrono::nanoseconds timeout) {
    wait_for_lease(pool, std::move(handler), handler_context, timeout);
  }
};

/// @param by_default The executor that the handler is posted to, if it has none of its
/// own.
template <class Get = channel_get, class Handler>
void begin_get(Handler handler, const asio::any_io_executor& by_default, pool_impl& pool,
               std::chrono::nanoseconds timeout) {
  auto picked = Get::pick(pool, timeout);
  if (picked) {
    const auto failed = *picked ? error_code() : picked->error();
    complete_now(std::move(handler), by_default, fallback_of(pool), failed,
                 *picked ? **std::move(picked) : typename Get::result_type());
  } else {
    posted_handler posted(std::move(handler), by_default);
    auto& handler_context = posted.context();
    Get::wait(pool, std::move(posted), handler_context, timeout);
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

template <class Get = channel_get,
          asio::completion_token_for<void(error_code, typename Get::result_type)> Token = asio::deferred_t>
auto async_get(std::shared_ptr<pool_impl> from, std::chrono::nanoseconds timeout, Token&& token = {}) {
  auto begin = [timeout](auto handler, const pool_target& target) {
    begin_get<Get>(std::move(handler), target.get_executor(), *target.pool, timeout);
  };
  return asio::async_initiate<Token, void(error_code, typename Get::result_type)>(
      initiation(pool_target{std::move(from)}, begin), token);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_connected(std::shared_ptr<pool_impl> from, std::size_t needed, std::chrono::nanoseconds timeout,
                     Token&& token) {
  auto begin = [needed, timeout](auto handler, const pool_target& target) {
    begin_connected(std::move(handler), target.get_executor(), *target.pool, needed, timeout);
  };
  return asio::async_initiate<Token, void(error_code)>(initiation(pool_target{std::move(from)}, begin), token);
}

/// Throws boost::system::system_error. Its text names the pool and the reason.
[[noreturn]] CONN_GRPC_API void throw_unavailable(const pool_impl& pool, error_code why);
CONN_GRPC_API void throw_if_too_few(const pool_impl& pool, error_code failed, std::size_t needed);

/// The owner of `from` must exist when the result is awaited. It may be destroyed
/// meanwhile.
template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<channel_ptr, Executor> get(const std::shared_ptr<pool_impl>& from,
                                                                       std::chrono::nanoseconds timeout) {
  if (auto channel = pick_or_wait(*from, timeout)) co_return std::move(channel);
  const auto pool = from;  // its owner may be destroyed from now on
  auto [failed, channel] = co_await async_get(pool, timeout, asio::as_tuple(asio::deferred));
  if (failed) throw_unavailable(*pool, failed);
  co_return std::move(channel);
}

/// The same for a lease.
template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<lease, Executor> get_lease(const std::shared_ptr<pool_impl>& from,
                                                                       std::chrono::nanoseconds timeout) {
  if (auto leased = lease_or_wait(*from, timeout)) co_return std::move(leased);
  const auto pool = from;  // its owner may be destroyed from now on
  auto [failed, leased] = co_await async_get<lease_get>(pool, timeout, asio::as_tuple(asio::deferred));
  if (failed) throw_unavailable(*pool, failed);
  co_return std::move(leased);
}

template <class Executor>
[[nodiscard]] CONN_GRPC_API asio::awaitable<void, Executor> connected(const std::shared_ptr<pool_impl>& from,
                                                                      std::size_t needed,
                                                                      std::chrono::nanoseconds timeout) {
  const auto pool = from;  // its owner may be destroyed during the waiting
  auto known = size_unless_waiting(*pool, needed);
  if (!known) {
    const auto [failed] = co_await async_connected(pool, needed, timeout, asio::as_tuple(asio::deferred));
    known = failed;
  }
  throw_if_too_few(*pool, *known, needed);
}

// The functions of the default executor are compiled into the library.
extern template asio::awaitable<channel_ptr> get<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                        std::chrono::nanoseconds timeout);
extern template asio::awaitable<lease> get_lease<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                        std::chrono::nanoseconds timeout);
extern template asio::awaitable<void> connected<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                       std::size_t needed,
                                                                       std::chrono::nanoseconds timeout);

}  // namespace conn_grpc::detail
