// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/grpc_connector.hpp"
#include "runtime/channel_group.hpp"

#include <chrono>

namespace conn_grpc::detail {

/// What a `channel` and a `pool` are made of: a group of actors that connect with gRPC. A class, not an alias, so that
/// public headers can name it without knowing what it is.
class channels final : public runtime::channel_group<std::chrono::steady_clock, grpc_connector> {
 public:
  using channel_group::channel_group;
};

}  // namespace conn_grpc::detail
