// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/status.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// The status of a pool that has these channels.
/// @param is_draining true when connected channels are not handed out any more.
/// @param channels pointers to objects with a `status()`.
template <class Channels>
pool_status status_of(std::string name, std::size_t expected_size, bool is_draining, const Channels& channels) {
  pool_status now{.name = std::move(name), .expected_size = expected_size};
  now.channels.reserve(channels.size());
  for (const auto& channel : channels) {
    auto& its = now.channels.emplace_back(channel->status());

    auto at = std::ranges::find(now.addresses, its.address, &address_status::address);
    if (at == now.addresses.end()) at = now.addresses.insert(at, {.address = its.address});
    const bool is_connected = its.state == channel_state::connected;
    ++at->expected_size;
    at->current_size += is_connected ? 1 : 0;
    now.current_size += is_connected ? 1 : 0;
    if (is_connected && is_draining) its.state = channel_state::draining;
    if (!its.last_error.empty() && (!is_connected || at->last_error.empty())) at->last_error = its.last_error;
  }
  return now;
}

}  // namespace conn_grpc::runtime
