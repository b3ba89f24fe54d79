// SPDX-License-Identifier: BSL-1.0
// Looks up the IP addresses of a pool's name. The tests have a resolver that they step.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace conn_grpc::runtime {

/// The end of a look-up.
struct resolution {
  std::vector<std::string> addresses{};  // gRPC targets; not empty unless it failed
  std::string failure{};                 // empty unless it failed
};

/// Begins a look-up, and calls `done` once, on any thread, also inside the call. A pool
/// does not wait for `done` when it stops, and begins one look-up at a time.
using resolver = std::function<void(std::function<void(resolution)> done)>;

/// Resolves with getaddrinfo, as the system is configured: /etc/hosts, DNS, and others.
/// Each look-up runs on a thread of its own, because getaddrinfo blocks and cannot be
/// interrupted. The thread exists while the look-up lasts. It is no work of the pool's
/// execution context.
[[nodiscard]] resolver system_resolver(std::string host, std::uint16_t port);

}  // namespace conn_grpc::runtime
