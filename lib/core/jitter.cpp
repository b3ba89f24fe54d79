// SPDX-License-Identifier: BSL-1.0
#include "core/jitter.hpp"

#include <algorithm>
#include <atomic>
#include <random>

namespace conn_grpc::core {

random_generator generator_of(std::uint64_t seed) {
  std::seed_seq mixed{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  return random_generator(mixed);
}

std::uint64_t unique_seed() {
  // Entropy is read once per process. A read takes 13 us, too much for each channel of a
  // pool of a thousand. The step is odd, so no seed is repeated.
  static std::atomic<std::uint64_t> seeds = [] {
    std::random_device entropy;
    return (std::uint64_t{entropy()} << 32) | entropy();
  }();
  return seeds.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed);
}

std::chrono::nanoseconds with_jitter(std::chrono::nanoseconds middle) {
  const auto most = middle / 10;
  auto random = generator_of(unique_seed());
  std::uniform_int_distribution<std::chrono::nanoseconds::rep> shift(-most.count(), most.count());
  const std::chrono::nanoseconds by(shift(random));
  constexpr auto longest = (std::chrono::nanoseconds::max)();
  return by > longest - middle ? longest : middle + by;
}

}  // namespace conn_grpc::core
