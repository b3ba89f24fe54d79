// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>

namespace conn_grpc::core {

/// A seed that this process has not used before. Thread-safe.
[[nodiscard]] std::uint64_t unique_seed();

/// A random duration between 9/10 and 11/10 of `middle`. Thread-safe.
[[nodiscard]] std::chrono::nanoseconds with_jitter(std::chrono::nanoseconds middle);

}  // namespace conn_grpc::core
