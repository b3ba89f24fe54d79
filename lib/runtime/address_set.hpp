// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"
#include "runtime/member.hpp"
#include "runtime/roster.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// The addresses of a pool, and the channels to each. A change keeps the channels to the
/// addresses that stay. The channels to addresses that went are removed when those to new
/// addresses have connected. On the strand.
///
/// A slot is made of the channel's index and of the number of its address, in this order.
/// So turns alternate between addresses.
/// @tparam Actor a channel_actor.
template <class Actor>
class address_set {
 public:
  using list = typename roster<Actor>::list;
  using make_actor = std::function<std::shared_ptr<Actor>(channel_identity)>;

  address_set(const checked_pool_options& options, roster<Actor>& channels, make_actor make)
      : options_(options), channels_(channels), make_(std::move(make)) {}

  /// An address that occurs twice counts once.
  /// @return the new channels.
  list change(const std::vector<std::string>& addresses) {
    list all = *channels_.all();
    std::erase_if(all, [](const auto& channel) { return channel->is_stopping(); });
    leaving_.clear();
    for (const auto& channel : all)
      if (std::ranges::find(addresses, channel->address()) == addresses.end()) leaving_.push_back(channel);
    list added;
    expected_size_ = 0;
    for (auto at = addresses.begin(); at != addresses.end(); ++at) {
      if (std::find(addresses.begin(), at, *at) != at) continue;
      expected_size_ += options_.pool_size;
      if (std::ranges::none_of(all, [&](const auto& channel) { return channel->address() == *at; }))
        append_channels(added, *at);
    }
    all = *channels_.all();
    std::ranges::copy(added, std::back_inserter(all));
    std::ranges::sort(all, {}, [](const auto& channel) { return channel->slot(); });
    channels_.replace(std::move(all));
    std::erase_if(unsettled_, [&](const auto& channel) { return is_leaving(*channel); });
    std::ranges::copy(added, std::back_inserter(unsettled_));
    waits_for_new_ = !leaving_.empty() && (waits_for_new_ || !added.empty());
    return added;
  }

  /// How many channels there are to be.
  [[nodiscard]] std::size_t expected_size() const { return expected_size_; }

  [[nodiscard]] bool has_leaving() const { return !leaving_.empty(); }

  /// Returns the channels that are to be removed now, and no longer has them as leaving.
  /// When other addresses are new, the first attempts to them must have ended before, and
  /// something that stays must be connected.
  list take_removable() {
    std::erase_if(unsettled_, [](const auto& channel) { return channel->has_settled(); });
    if (waits_for_new_) {
      const auto all = channels_.all();
      const bool is_served =
          std::ranges::any_of(*all, [&](const auto& channel) { return channel->serves() && !is_leaving(*channel); });
      if (!unsettled_.empty() || !is_served) return {};
    }
    return take_leaving();
  }

  /// As `take_removable`, without a condition.
  list take_leaving() {
    waits_for_new_ = false;
    return std::exchange(leaving_, {});
  }

  /// The channel has ended.
  void remove(const Actor& ended) {
    list all = *channels_.all();
    std::erase_if(all, [&](const auto& channel) { return channel.get() == &ended; });
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

  [[nodiscard]] bool is_leaving(const Actor& asked) const {
    return std::ranges::any_of(leaving_, [&](const auto& channel) { return channel.get() == &asked; });
  }

  static constexpr int address_bits = 32;

  const checked_pool_options& options_;
  roster<Actor>& channels_;
  const make_actor make_;
  std::size_t next_address_ = 0;
  std::size_t expected_size_ = 0;
  list leaving_;                // to be removed
  list unsettled_;              // new channels whose first attempt may be under way
  bool waits_for_new_ = false;  // `leaving_` stay until others have connected
};

}  // namespace conn_grpc::runtime
