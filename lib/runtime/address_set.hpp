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
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
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
  list change(const std::vector<std::string>& addresses) { return arrange(addresses, size_); }

  /// Changes the number of channels to each address. Throws std::bad_alloc, without effect.
  /// @return the new channels.
  list resize(std::size_t size) { return arrange(addresses_, size); }

  /// The number of channels to each address.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t address_count() const { return addresses_.size(); }

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

  /// Returns the channels that a smaller size has left over. The caller must stop them now.
  list take_surplus() { return std::exchange(surplus_, {}); }

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
  static constexpr int address_bits = 32;
  static constexpr std::size_t number_mask = (std::size_t{1} << address_bits) - 1;

  /// The channels to one address.
  struct presence {
    std::optional<std::size_t> number;  // of the address
    std::size_t kept = 0;
    std::unordered_set<std::size_t> indexes;  // also of channels that are stopping
  };

  list arrange(const std::vector<std::string>& addresses, std::size_t size) {
    std::unordered_map<std::string_view, presence> wanted;
    std::vector<std::string> unique;
    for (const auto& address : addresses)
      if (wanted.try_emplace(address).second) unique.push_back(address);
    list all = *channels_.all();
    list leaving;
    list surplus;
    for (const auto& channel : all) {  // by ascending index
      const auto at = wanted.find(channel->address());
      const bool is_wanted = at != wanted.end();
      if (is_wanted && !channel->is_stopping()) at->second.number = channel->slot() & number_mask;
      if (is_wanted) at->second.indexes.insert(channel->slot() >> address_bits);
      if (channel->is_stopping()) continue;
      if (!is_wanted)
        leaving.push_back(channel);
      else if (at->second.kept == size)
        surplus.push_back(channel);
      else
        ++at->second.kept;
    }
    list fresh;  // an earlier change may not be over
    for (const auto& channel : has_leaving() ? fresh_ : list())
      if (!channel->is_stopping() && wanted.contains(channel->address()) && !contains(surplus, channel))
        fresh.push_back(channel);
    auto next_number = next_number_;
    list added;
    for (const auto& address : unique) append_missing(added, address, wanted[address], size, next_number);
    std::ranges::copy(added, std::back_inserter(all));
    std::ranges::sort(all, {}, [](const auto& channel) { return channel->slot(); });
    std::ranges::copy(added, std::back_inserter(fresh));
    const auto expected_size = unique.size() * size;
    channels_.replace(std::move(all));  // the last that may throw
    leaving_ = std::move(leaving);
    surplus_ = std::move(surplus);
    fresh_ = std::move(fresh);
    settled_ = 0;
    addresses_ = std::move(unique);
    size_ = size;
    next_number_ = next_number;
    expected_size_ = expected_size;
    return added;
  }

  static bool contains(const list& all, const std::shared_ptr<Actor>& channel) {
    return std::ranges::find(all, channel) != all.end();
  }

  void append_missing(list& to, const std::string& address, presence& its, std::size_t size, std::size_t& next_number) {
    // An address that comes back while its old channels stop has a new number, and all indexes.
    if (!its.number) its.indexes.clear();
    const auto number = its.number ? *its.number : next_number++;
    for (std::size_t index = 0; its.kept < size; ++index) {
      if (!its.indexes.insert(index).second) continue;
      to.push_back(make_({.slot = (index << address_bits) + number,
                          .name = options_.channel_name(address, index),
                          .address = address}));
      ++its.kept;
    }
  }

  /// True when a channel that is not leaving is connected.
  [[nodiscard]] bool is_served() const {
    std::unordered_set<const Actor*> leaving;
    for (const auto& channel : leaving_) leaving.insert(channel.get());
    return std::ranges::any_of(*channels_.all(), [&](const auto& channel) {
      return channel->serves() && !channel->is_stopping() && !leaving.contains(channel.get());
    });
  }

  const checked_pool_options& options_;
  roster<Actor>& channels_;
  const make_actor make_;
  std::vector<std::string> addresses_;
  std::size_t size_ = options_.pool_size;  // channels to each address
  std::size_t next_number_ = 0;            // of an address
  std::size_t expected_size_ = 0;
  list leaving_;             // to be removed
  list surplus_;             // to be removed now
  list fresh_;               // the new channels for which they wait
  std::size_t settled_ = 0;  // how many of these, from the first on, have ended their first attempt
};

}  // namespace conn_grpc::runtime
