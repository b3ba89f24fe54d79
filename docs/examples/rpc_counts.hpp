// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <map>
#include <string>

namespace demo {

/// How RPCs ended.
struct rpc_counts {
  std::uint64_t ok = 0;
  std::map<grpc::StatusCode, std::uint64_t> failed{};
  std::uint64_t without_channel = 0;  ///< did not begin: no channel was connected in time

  [[nodiscard]] std::uint64_t failures() const;

  /// "640 ok, 0 failed", or with each status: "640 ok, 2 CANCELLED, 5 UNAVAILABLE".
  [[nodiscard]] std::string text() const;

  void add(const grpc::Status& status);
};

/// Those that were added since.
[[nodiscard]] rpc_counts operator-(rpc_counts now, const rpc_counts& before);

}  // namespace demo
