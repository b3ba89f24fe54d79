// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/connector.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace conn_grpc::runtime {

/// The identity of a channel in its pool.
struct channel_identity {
  std::size_t slot;  // its place in the order of turns
  std::string name;  // in status, log and telemetry
  std::string address;
};

/// A connection that can be handed out. The pointer that is handed out shares the
/// ownership of it.
struct member {
  std::size_t slot;
  std::uint64_t id;  // of the connection; unique in its pool
  channel_ptr channel;
  std::shared_ptr<const channel_identity> identity;
};

}  // namespace conn_grpc::runtime
