// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/published.hpp"

#include <boost/system/result.hpp>
#include <conn_grpc/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace conn_grpc::core {

/// The members that can be handed out at one moment, or the error when there are none.
/// Pick policies choose among them.
///
/// `channels` holds the channels, not pointers to members, which saves a cache miss for
/// each pick. Each channel shares the ownership of its member.
template <class Member>
struct member_snapshot {
  using channel_type = decltype(Member::channel);

  member_snapshot(errc why_none, std::size_t size) : unavailable(why_none) {
    channels.reserve(size);
    members.reserve(size);
  }

  [[nodiscard]] std::size_t size() const { return channels.size(); }

  /// The index of this slot's member, or the index at which it would be inserted.
  [[nodiscard]] std::size_t place_of(std::size_t slot) const {
    const auto at = std::ranges::lower_bound(members, slot, {}, [](const Member* m) { return m->slot; });
    return static_cast<std::size_t>(at - members.begin());
  }
  [[nodiscard]] bool has(std::size_t place, std::size_t slot) const {
    return place < size() && members[place]->slot == slot;
  }

  void append(const std::shared_ptr<const Member>& member) {
    channels.emplace_back(member, member->channel.get());
    members.push_back(member.get());
  }
  void append(const member_snapshot& old, std::size_t first, std::size_t last) {
    for (; first < last; ++first) {
      channels.push_back(old.channels[first]);
      members.push_back(old.members[first]);
    }
  }

  errc unavailable;           // the error of a pick while there are no members
  std::uint64_t turn_of_0{};  // see round_robin
  std::vector<channel_type> channels;
  std::vector<const Member*> members;  // the members of `channels`, by ascending slot
};

/// Picks the members in turn: in any k x size picks each member is picked k times. After
/// a change of the members the turns continue with the next member.
struct round_robin {
  template <class Snapshot>
  std::size_t operator()(const Snapshot& now, std::uint64_t pick) const {
    return (pick + now.turn_of_0) % now.size();
  }

  /// Sets the turns of `next`, which will replace `old` before this pick.
  template <class Snapshot>
  void continue_turns(const Snapshot& old, Snapshot& next, std::uint64_t pick) const {
    if (old.size() == 0 || next.size() == 0) return;
    const auto next_in_turn = next.place_of(old.members[(*this)(old, pick)]->slot);
    next.turn_of_0 = next_in_turn + next.size() - pick % next.size();
  }
};

/// The members that can be handed out: at most one for each slot.
///
/// *Thread safety*: every function. Picking takes no lock and never waits.
/// @tparam Member immutable, with `slot`, `id` (unique in its slot), and `channel`, a
/// std::shared_ptr.
template <class Member>
class member_set {
 public:
  using snapshot = member_snapshot<Member>;
  using channel_type = typename snapshot::channel_type;

  /// A channel and its member. The member exists for as long as the channel is held.
  struct picked {
    channel_type channel;
    const Member* member;
  };

  member_set() : members_(std::make_unique<snapshot>(errc::not_started, 0)) {}

  template <class Policy = round_robin>
  [[nodiscard]] boost::system::result<channel_type> pick(Policy policy = {}) noexcept {
    return members_.read([&](const snapshot& now, std::uint64_t number) -> boost::system::result<channel_type> {
      if (now.channels.empty()) return make_error_code(now.unavailable);
      return now.channels[policy(now, number)];
    });
  }

  /// As `pick`, and returns the member, too.
  template <class Policy = round_robin>
  [[nodiscard]] boost::system::result<picked> pick_member(Policy policy = {}) noexcept {
    return members_.read([&](const snapshot& now, std::uint64_t number) -> boost::system::result<picked> {
      if (now.channels.empty()) return make_error_code(now.unavailable);
      const auto place = policy(now, number);
      return picked{now.channels[place], now.members[place]};
    });
  }

  /// Picks the member that `choose(snapshot, number)` returns the place of, a
  /// std::optional. When that is none, the result is empty.
  template <class Choose>
  [[nodiscard]] boost::system::result<picked> pick_chosen(Choose choose) noexcept {
    return members_.read([&](const snapshot& now, std::uint64_t number) -> boost::system::result<picked> {
      if (now.channels.empty()) return make_error_code(now.unavailable);
      const auto place = choose(now, number);
      return place ? picked{now.channels[*place], now.members[*place]} : picked{nullptr, nullptr};
    });
  }

  /// Changes the error of a pick from not_started to not_connected. Throws
  /// std::bad_alloc, without effect.
  void open() {
    change([](const snapshot& old) {
      const bool opens = old.unavailable == errc::not_started;
      return opens ? std::make_unique<snapshot>(errc::not_connected, 0) : nullptr;
    });
  }

  /// Adds a member. It replaces the member of its slot, if there is one. Has no effect
  /// after `close()`. Throws std::bad_alloc, without effect.
  void insert(const std::shared_ptr<const Member>& added) {
    change([&](const snapshot& old) -> std::unique_ptr<snapshot> {
      if (old.unavailable == errc::stopped) return nullptr;
      const auto place = old.place_of(added->slot);
      auto next = std::make_unique<snapshot>(old.unavailable, old.size() + 1);
      next->append(old, 0, place);
      next->append(added);
      next->append(old, place + (old.has(place, added->slot) ? 1 : 0), old.size());
      return next;
    });
  }

  /// Removes this member of the slot, if it is there. Releases it, unless a reader is
  /// picking it at this moment.
  void erase(std::size_t slot, std::uint64_t id) noexcept { erase_if_more_than(0, slot, id); }

  /// The same, without effect on the only member.
  void erase_unless_last(std::size_t slot, std::uint64_t id) noexcept { erase_if_more_than(1, slot, id); }

  /// Removes all members for good. From now on picking ends in errc::stopped.
  void close() noexcept {
    change([](const snapshot& old) {
      return old.unavailable == errc::stopped ? nullptr : std::make_unique<snapshot>(errc::stopped, 0);
    });
  }

  /// Releases the removed members, except for those that a reader is picking at this
  /// moment.
  /// @return true when none is left.
  [[nodiscard]] bool reclaim() noexcept { return members_.reclaim(); }

  /// The error of a pick while there are no members.
  [[nodiscard]] error_code unavailable() const {
    return members_.inspect([](const snapshot& now) { return make_error_code(now.unavailable); });
  }

  [[nodiscard]] std::size_t size() const {
    return members_.inspect([](const snapshot& now) { return now.size(); });
  }

  /// Calls `use(member)` for each member.
  template <class Use>
  void for_each(Use use) const {
    members_.inspect([&](const snapshot& now) {
      for (const Member* m : now.members) use(*m);
    });
  }

  /// True when `is(member)` is true of a member.
  template <class Predicate>
  [[nodiscard]] bool any_of(Predicate is) const {
    return members_.inspect(
        [&](const snapshot& now) { return std::ranges::any_of(now.members, [&](const Member* m) { return is(*m); }); });
  }

  /// True when this member of the slot is there.
  [[nodiscard]] bool has(std::size_t slot, std::uint64_t id) const {
    return members_.inspect([=](const snapshot& now) {
      const auto place = now.place_of(slot);
      return now.has(place, slot) && now.members[place]->id == id;
    });
  }

 private:
  void erase_if_more_than(std::size_t least, std::size_t slot, std::uint64_t id) noexcept {
    change([&](const snapshot& old) -> std::unique_ptr<snapshot> {
      const auto place = old.place_of(slot);
      if (!old.has(place, slot) || old.members[place]->id != id || old.size() <= least) return nullptr;
      auto next = std::make_unique<snapshot>(old.unavailable, old.size() - 1);
      next->append(old, 0, place);
      next->append(old, place + 1, old.size());
      return next;
    });
  }

  template <class Make>
  void change(Make make) {
    members_.replace([&](const snapshot& old) {
      auto next = make(old);
      if (next) round_robin().continue_turns(old, *next, members_.reads());
      return next;
    });
  }

  published<snapshot> members_;
};

}  // namespace conn_grpc::core
