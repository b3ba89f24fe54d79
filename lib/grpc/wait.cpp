// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/wait.hpp>

#include "grpc/channels.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <string>
#include <tuple>

namespace conn_grpc::detail {
namespace {

constexpr auto as_result = asio::as_tuple(asio::deferred);

}  // namespace

boost::system::result<channel_ptr> next(channels& from) { return from.next(); }

channel_ptr next_or_throw(channels& from) { return from.next_or_throw(); }

std::optional<boost::system::result<channel_ptr>> next_for_handler(channels& from, patience timeout) {
  try {
    if (timeout <= timeout.zero()) return from.next();
    auto found = from.next_unless_waiting();
    if (!found && found.error() == asio::error::would_block) return std::nullopt;
    return found;
  } catch (const boost::system::system_error& e) {
    return e.code() ? e.code() : make_error_code(errc::not_connected);
  }
}

std::optional<error_code> size_unless_waiting(const channels& from, std::size_t needed) {
  return from.size_unless_waiting(needed);
}

void wait_for_channel(channels& from, get_handler handler, asio::execution_context& home, patience timeout) {
  from.wait_for_channel(std::move(handler), home, timeout);
}

void wait_for_size(channels& from, size_handler handler, asio::execution_context& home, std::size_t needed,
                   patience timeout) {
  from.wait_for_size(std::move(handler), home, needed, timeout);
}

asio::awaitable<channel_ptr> get(const std::shared_ptr<channels>& from, patience timeout) {
  if (timeout <= timeout.zero()) co_return from->next_or_throw();
  if (auto channel = from->next_or_throw_unless_waiting()) co_return std::move(channel);
  const auto group = from;  // its owner may go now
  auto [failed, channel] = co_await async_get(group, timeout, as_result);
  if (failed) group->throw_unavailable(failed);
  co_return std::move(channel);
}

asio::awaitable<void> connected(const std::shared_ptr<channels>& from, std::size_t needed, patience timeout) {
  const auto group = from;  // its owner may go while it waits
  auto known = group->size_unless_waiting(needed);
  if (!known) known = std::get<0>(co_await async_connected(group, needed, timeout, as_result));
  const bool too_many = *known == asio::error::invalid_argument;
  if (*known)
    group->throw_unavailable(
        *known, too_many ? "connected(" + std::to_string(needed) + ") of a pool of " + std::to_string(group->size())
                         : std::string());
}

}  // namespace conn_grpc::detail
