// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace conn_grpc::test {

/// TCP connections of this process to that port of the loopback, in state ESTABLISHED, as the kernel counts them.
std::size_t established_to(std::uint16_t port);

/// Open file descriptors and threads of this process; threads of that name.
std::size_t open_files();
std::size_t threads();
std::size_t threads_named(const std::string& name);

/// Resident memory of this process, in KiB. AddressSanitizer keeps freed memory back: nothing to measure then.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool memory_is_measurable = false;
#else
inline constexpr bool memory_is_measurable = true;
#endif
std::size_t resident_kib();

}  // namespace conn_grpc::test
