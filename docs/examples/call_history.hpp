// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "view.hpp"

namespace demo {

/// The RPCs of the last seconds, in steps of 200 ms.
class call_history {
 public:
  struct step {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
  };

  /// Ten times a second.
  void add(const scene& moment);

  /// Of a backend, the oldest first.
  [[nodiscard]] const std::deque<step>& of(std::size_t backend) const { return backends_[backend].steps; }

  /// The greatest number of RPCs that a backend answered in a step; at least 1.
  [[nodiscard]] std::uint64_t most() const;

  /// Of the last second.
  [[nodiscard]] std::uint64_t ok_per_second() const;
  [[nodiscard]] std::uint64_t ok_per_second(std::size_t backend) const;

  /// The part of the RPCs that a backend answered in the last second, in per cent.
  [[nodiscard]] std::uint64_t share(std::size_t backend) const;

 private:
  struct record {
    step total;  // when the last step ended
    std::deque<step> steps;
  };

  int added_ = 0;
  std::vector<record> backends_;
};

}  // namespace demo
