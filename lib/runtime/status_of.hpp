// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/status.hpp>

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>

namespace conn_grpc::runtime {

/// The status of a pool that has these channels.
/// @param has_withdrawn_all true when connected channels are not handed out any more.
/// @param channels pointers to objects with a `status()`.
template <class Channels>
pool_status status_of(std::string name, std::size_t expected_size, bool has_withdrawn_all, const Channels& channels) {
  pool_status now{.name = std::move(name), .expected_size = expected_size};
  now.channels.reserve(channels.size());
  std::unordered_map<std::string, std::size_t> places;
  for (const auto& channel : channels) {
    auto& its = now.channels.emplace_back(channel->status());

    const auto [place, is_new] = places.try_emplace(its.address, now.addresses.size());
    if (is_new) now.addresses.push_back({.address = its.address});
    auto* const at = &now.addresses[place->second];
    const bool is_connected = its.state == channel_state::connected;
    ++at->expected_size;
    at->current_size += is_connected ? 1 : 0;
    now.current_size += is_connected ? 1 : 0;
    if (is_connected && has_withdrawn_all) its.state = channel_state::draining;
    if (!its.last_error.empty() && (!is_connected || at->last_error.empty())) at->last_error = its.last_error;
  }
  return now;
}

}  // namespace conn_grpc::runtime
