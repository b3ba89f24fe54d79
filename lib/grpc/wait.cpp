// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/wait.hpp>

#include "grpc/channels.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <string>

namespace conn_grpc::detail {

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

channel_ptr next_or_throw_unless_waiting(channels& from, patience timeout) {
  return timeout <= timeout.zero() ? from.next_or_throw() : from.next_or_throw_unless_waiting();
}

void throw_unavailable(const channels& from, error_code why) { from.throw_unavailable(why); }

void throw_if_too_few(const channels& from, error_code failed, std::size_t needed) {
  if (!failed) return;
  const bool too_many = failed == asio::error::invalid_argument;
  from.throw_unavailable(
      failed, too_many ? "connected(" + std::to_string(needed) + ") of a pool of " + std::to_string(from.size())
                       : std::string());
}

template asio::awaitable<channel_ptr> get<asio::any_io_executor>(const std::shared_ptr<channels>& from,
                                                                 patience timeout);
template asio::awaitable<void> connected<asio::any_io_executor>(const std::shared_ptr<channels>& from,
                                                                std::size_t needed, patience timeout);

}  // namespace conn_grpc::detail
