// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"
#include "runtime/member.hpp"
#include "runtime/roster.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// The addresses of a pool, and the channels to each. A change keeps the channels to
/// addresses that stay. The channels to removed addresses are *leaving*: `take_removable`
/// says when the caller stops them. All functions are for the strand.
///
/// A slot consists of the channel's index and the number of its address, in this order. So
/// gets alternate between addresses.
/// @tparam Actor a channel_actor.
template <class Actor>
class address_set {
 public:
  using list = typename roster<Actor>::list;
  using make_actor = std::function<std::shared_ptr<Actor>(channel_identity)>;

  address_set(const checked_pool_options& options, roster<Actor>& channels, make_actor make)
      : options_(options), channels_(channels), make_(std::move(make)) {}

  /// Changes the addresses. An address that occurs twice counts once. Throws
  /// std::bad_alloc, without effect.
  /// @return the new channels.
  list change(const std::vector<std::string>& addresses) {
    const std::unordered_set<std::string_view> wanted(addresses.begin(), addresses.end());
    const auto stays = [&](const Actor& channel) { return wanted.contains(channel.address()); };
    auto missing = wanted;
    list all = *channels_.all();
    list leaving;
    list added;
    for (const auto& channel : all) {
      if (channel->is_stopping()) continue;
      if (!stays(*channel)) leaving.push_back(channel);
      missing.erase(channel->address());
    }
    for (const auto& address : addresses)
      if (missing.erase(address) > 0) append_channels(added, address);
    std::ranges::copy(added, std::back_inserter(all));
    std::ranges::sort(all, {}, [](const auto& channel) { return channel->slot(); });
    list fresh;  // an earlier change may not be over
    for (const auto& channel : has_leaving() ? fresh_ : list())
      if (stays(*channel)) fresh.push_back(channel);
    std::ranges::copy(added, std::back_inserter(fresh));
    channels_.replace(std::move(all));  // the last that may throw
    leaving_ = std::move(leaving);
    fresh_ = std::move(fresh);
    settled_ = 0;
    expected_size_ = wanted.size() * options_.pool_size;
    return added;
  }

  /// The number of channels that the pool is to have.
  [[nodiscard]] std::size_t expected_size() const { return expected_size_; }

  [[nodiscard]] bool has_leaving() const { return !leaving_.empty(); }

  /// Returns the leaving channels that the caller must stop now. They are not leaving any
  /// more. If there are new channels, the result is empty until the first attempt of each
  /// of them has ended and a channel that is not leaving is connected.
  /// @param may_be_served false when no channel has connected since the last call. Then the
  /// function does not look for a connected channel, unless a first attempt has ended.
  list take_removable(bool may_be_served) {
    for (; settled_ < fresh_.size() && fresh_[settled_]->has_settled(); ++settled_) may_be_served = true;
    if (settled_ < fresh_.size() || (!fresh_.empty() && (!may_be_served || !is_served()))) return {};
    return take_leaving();
  }

  /// Returns all leaving channels. They are not leaving any more.
  list take_leaving() {
    fresh_.clear();
    return std::exchange(leaving_, {});
  }

  /// Returns the leaving channels that gets do not return. They are not leaving any more.
  list take_leaving_unconnected() {
    const auto unconnected = std::ranges::partition(leaving_, [](const auto& channel) { return channel->serves(); });
    list removable(unconnected.begin(), unconnected.end());
    leaving_.erase(unconnected.begin(), unconnected.end());
    return removable;
  }

  /// Removes the channels whose coroutines have ended. Throws std::bad_alloc, without
  /// effect.
  void remove_ended() {
    list all = *channels_.all();
    if (std::erase_if(all, [](const auto& channel) { return channel->has_ended(); }) > 0)
      channels_.replace(std::move(all));
  }

 private:
  void append_channels(list& to, const std::string& address) {
    const auto number = next_address_++;
    for (std::size_t index = 0; index < options_.pool_size; ++index)
      to.push_back(make_({.slot = (index << address_bits) + number,
                          .name = options_.channel_name(address, index),
                          .address = address}));
  }

  /// True when a channel that is not leaving is connected.
  [[nodiscard]] bool is_served() const {
    std::unordered_set<const Actor*> leaving;
    for (const auto& channel : leaving_) leaving.insert(channel.get());
    return std::ranges::any_of(*channels_.all(), [&](const auto& channel) {
      return channel->serves() && !channel->is_stopping() && !leaving.contains(channel.get());
    });
  }

  static constexpr int address_bits = 32;

  const checked_pool_options& options_;
  roster<Actor>& channels_;
  const make_actor make_;
  std::size_t next_address_ = 0;
  std::size_t expected_size_ = 0;
  list leaving_;             // to be removed
  list fresh_;               // the new channels for which they wait
  std::size_t settled_ = 0;  // how many of these, from the first on, have ended their first attempt
};

}  // namespace conn_grpc::runtime
