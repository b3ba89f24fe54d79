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
template <class Load>
struct less_loaded_of_two {
  Load load;  // of a member

  template <class Snapshot, class Take>
  std::optional<std::size_t> operator()(const Snapshot& now, std::uint64_t pick, Take take) const {
    if (now.size() > 1) {
      const auto random = mixed(pick);
      const std::size_t one = static_cast<std::uint32_t>(random) % now.size();
      const std::size_t step = 1 + (random >> 32U) % (now.size() - 1);
      const std::size_t other = (one + step) % now.size();
      const auto chosen = load(*now.members[other]) < load(*now.members[one]) ? other : one;
      if (take(*now.members[chosen])) return chosen;
    }
    return first_in_turn()(now, pick, take);
  }

 private:
  // splitmix64: numbers in a row become random ones, without a state.
  static std::uint64_t mixed(std::uint64_t number) {
    number += 0x9e3779b97f4a7c15U;
    number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
    number = (number ^ (number >> 27U)) * 0x94d049bb133111ebU;
    return number ^ (number >> 31U);
  }
};

}  // namespace conn_grpc::core
