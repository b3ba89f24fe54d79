// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

namespace conn_grpc::core {

/// Of the generators of the standard library the one that is small: a std::mt19937_64 has
/// 2.5 KiB, and each channel has a generator.
using random_generator = std::minstd_rand;

/// Generators of similar seeds have nothing in common.
[[nodiscard]] random_generator generator_of(std::uint64_t seed);

/// A seed that this process has not used before. Thread-safe.
[[nodiscard]] std::uint64_t unique_seed();

/// A random duration between 9/10 and 11/10 of `middle`. Thread-safe.
[[nodiscard]] std::chrono::nanoseconds with_jitter(std::chrono::nanoseconds middle);

}  // namespace conn_grpc::core
