// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/get.hpp>

#include "api/pool_impl.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <string>
#include <utility>

namespace conn_grpc::detail {

using runtime::if_none;

boost::system::result<channel_ptr> try_pick(pool_impl& pool) { return pool.pick<if_none::fail>(); }

channel_ptr pick_or_throw(pool_impl& pool) { return pool.pick_or_throw<if_none::fail>(); }

channel_ptr pick_or_wait(pool_impl& pool, std::chrono::nanoseconds timeout) {
  return timeout <= std::chrono::nanoseconds::zero() ? pool.pick_or_throw<if_none::fail>()
                                                     : pool.pick_or_throw<if_none::wait>();
}

namespace {

// Of an exception of the mock.
error_code code_of(const boost::system::system_error& e) {
  return e.code() ? e.code() : make_error_code(errc::not_connected);
}

}  // namespace

std::optional<boost::system::result<channel_ptr>> pick_for_handler(pool_impl& pool, std::chrono::nanoseconds timeout) {
  try {
    if (timeout <= std::chrono::nanoseconds::zero()) return pool.pick<if_none::fail>();
    auto picked = pool.pick<if_none::wait>();
    if (!picked && picked.error() == asio::error::would_block) return std::nullopt;
    return picked;
  } catch (const boost::system::system_error& e) {
    return code_of(e);
  }
}

namespace {

using leases = pool_impl::leases_type;

// What a caller that does not wait gets while every channel is full.
template <class Result>
Result not_full(Result leased) {
  if (!leased && leased.error() == leases::all_are_full()) return errc::not_connected;
  return leased;
}

}  // namespace

boost::system::result<lease> try_lease(pool_impl& pool) { return not_full(pool.lease_channel<if_none::fail>()); }

lease lease_or_throw(pool_impl& pool) {
  auto leased = pool.lease_channel<if_none::fail>();
  if (!leased) pool.throw_unavailable(not_full(std::move(leased)).error());
  return *std::move(leased);
}

lease lease_or_wait(pool_impl& pool, std::chrono::nanoseconds timeout) {
  if (timeout <= std::chrono::nanoseconds::zero()) return lease_or_throw(pool);
  auto leased = pool.lease_channel<if_none::wait>();
  if (leased) return *std::move(leased);
  if (leased.error() == asio::error::would_block) return {};
  pool.throw_unavailable(leased.error());
}

std::optional<boost::system::result<lease>> lease_for_handler(pool_impl& pool, std::chrono::nanoseconds timeout) {
  try {
    if (timeout <= std::chrono::nanoseconds::zero()) return try_lease(pool);
    auto leased = pool.lease_channel<if_none::wait>();
    if (!leased && leased.error() == asio::error::would_block) return std::nullopt;
    return leased;
  } catch (const boost::system::system_error& e) {
    return code_of(e);
  }
}

std::optional<error_code> size_unless_waiting(const pool_impl& pool, std::size_t needed) {
  return pool.size_unless_waiting(needed);
}

void wait_for_channel(pool_impl& pool, get_handler handler, asio::execution_context& handler_context,
                      std::chrono::nanoseconds timeout) {
  pool.wait_for_channel(std::move(handler), handler_context, timeout);
}

void wait_for_lease(pool_impl& pool, lease_handler handler, asio::execution_context& handler_context,
                    std::chrono::nanoseconds timeout) {
  pool.wait_for_lease(std::move(handler), handler_context, timeout);
}

void wait_for_size(pool_impl& pool, size_handler handler, asio::execution_context& handler_context, std::size_t needed,
                   std::chrono::nanoseconds timeout) {
  pool.wait_for_size(std::move(handler), handler_context, needed, timeout);
}

void throw_unavailable(const pool_impl& pool, error_code why) { pool.throw_unavailable(why); }

void throw_if_too_few(const pool_impl& pool, error_code failed, std::size_t needed) {
  if (!failed) return;
  const bool too_many = failed == asio::error::invalid_argument;
  pool.throw_unavailable(
      failed, too_many ? "connected(" + std::to_string(needed) + ") of a pool of " + std::to_string(pool.size())
                       : std::string());
}

template asio::awaitable<channel_ptr> get<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                 std::chrono::nanoseconds timeout);
template asio::awaitable<lease> get_lease<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                 std::chrono::nanoseconds timeout);
template asio::awaitable<void> connected<asio::any_io_executor>(const std::shared_ptr<pool_impl>& from,
                                                                std::size_t needed, std::chrono::nanoseconds timeout);

}  // namespace conn_grpc::detail
