// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/pool_core.hpp"

#include <chrono>

namespace conn_grpc::detail {

/// What a `pool` and a `channel` own. It is a class and not an alias, so that public
/// headers can declare it without its definition.
class pool_impl final : public runtime::pool_core<std::chrono::steady_clock> {
 public:
  using pool_core::pool_core;
};

}  // namespace conn_grpc::detail
