// SPDX-License-Identifier: BSL-1.0
#include "call_history.hpp"

#include <algorithm>

namespace demo {
namespace {

constexpr std::size_t longest = 200;
constexpr std::size_t steps_per_second = 5;

}  // namespace

void call_history::add(const scene& moment) {
  backends_.resize(moment.backends.size());
  if (++added_ % 2 != 0) return;
  for (std::size_t i = 0; i < backends_.size(); ++i) {
    auto& [before, steps] = backends_[i];
    const step now{.ok = moment.backends[i].rpcs.ok, .failed = moment.backends[i].rpcs.failures()};
    steps.push_back({.ok = now.ok - before.ok, .failed = now.failed - before.failed});
    if (steps.size() > longest) steps.pop_front();
    before = now;
  }
}

std::uint64_t call_history::most() const {
  std::uint64_t most = 1;
  for (const record& each : backends_)
    for (const step& s : each.steps) most = std::max(most, s.ok);
  return most;
}

std::uint64_t call_history::ok_per_second() const {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < backends_.size(); ++i) sum += ok_per_second(i);
  return sum;
}

std::uint64_t call_history::ok_per_second(std::size_t backend) const {
  const auto& steps = of(backend);
  std::uint64_t sum = 0;
  for (std::size_t i = steps.size() - std::min(steps.size(), steps_per_second); i < steps.size(); ++i)
    sum += steps[i].ok;
  return sum;
}

std::uint64_t call_history::share(std::size_t backend) const {
  const auto all = ok_per_second();
  return all == 0 ? 0 : (100 * ok_per_second(backend) + all / 2) / all;
}

}  // namespace demo
