// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/member_set.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace conn_grpc::core {

/// Chooses the first member that can be taken, from the one whose turn it is on.
struct first_in_turn {
  /// @param pick the number of the pick.
  /// @param take returns true when it has taken the member.
  /// @return the place of the member. None when none could be taken.
  template <class Snapshot, class Take>
  std::optional<std::size_t> operator()(const Snapshot& now, std::uint64_t pick, Take take) const {
    const auto first = round_robin()(now, pick);
    for (std::size_t i = 0; i < now.size(); ++i) {
      const auto place = first + i < now.size() ? first + i : first + i - now.size();
      if (take(*now.members[place])) return place;
    }
    return std::nullopt;
  }
};

/// Chooses the less loaded of two members at random ("the power of two choices"). When it
/// cannot be taken, chooses as `first_in_turn`.
///
/// The two are of different servers where a few members in a row are not all of one. Two
/// channels to a slow server that were compared with each other would get a lease however
/// loaded they are.
template <class Load, class AreAlike>
struct less_loaded_of_two {
  Load load;           // of a member
  AreAlike are_alike;  // true when two members are of the same server

  template <class Snapshot, class Take>
  std::optional<std::size_t> operator()(const Snapshot& now, std::uint64_t pick, Take take) const {
    if (now.size() > 1) {
      const auto random = mixed(pick);
      const std::size_t one = static_cast<std::uint32_t>(random) % now.size();
      const std::size_t step = 1 + (random >> 32U) % (now.size() - 1);
      const std::size_t other = of_another_server(now, one, (one + step) % now.size());
      const auto chosen = load(*now.members[other]) < load(*now.members[one]) ? other : one;
      if (take(*now.members[chosen])) return chosen;
    }
    return first_in_turn()(now, pick, take);
  }

 private:
  // Members in a row are of different servers, as long as each server has as many.
  static constexpr int tries = 4;

  // The first member from `other` on that is of another server than `one`.
  template <class Snapshot>
  [[nodiscard]] std::size_t of_another_server(const Snapshot& now, std::size_t one, std::size_t other) const {
    auto at = other;
    for (int i = 0; i < tries; ++i) {
      if (!are_alike(*now.members[one], *now.members[at])) return at;
      at = at + 1 < now.size() ? at + 1 : 0;
    }
    return other;
  }

  // splitmix64: numbers in a row become random ones, without a state.
  static std::uint64_t mixed(std::uint64_t number) {
    number += 0x9e3779b97f4a7c15U;
    number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
    number = (number ^ (number >> 27U)) * 0x94d049bb133111ebU;
    return number ^ (number >> 31U);
  }
};

}  // namespace conn_grpc::core
