// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "support/sanitizers.hpp"

namespace conn_grpc::test {

/// The TCP connections of this process to that port of the loopback, in state
/// ESTABLISHED, as the kernel counts them.
std::size_t established_to(std::uint16_t port);

/// The number of open file descriptors of this process, of its threads, and of its
/// threads with that name.
std::size_t open_files();
std::size_t threads();
std::size_t threads_named(const std::string& name);

/// The resident memory of this process, in KiB. AddressSanitizer holds freed memory back,
/// so nothing can be measured then.
#ifdef CONN_GRPC_TEST_ADDRESS_SANITIZER
inline constexpr bool memory_is_measurable = false;
#else
inline constexpr bool memory_is_measurable = true;
#endif
std::size_t resident_kib();

}  // namespace conn_grpc::test
