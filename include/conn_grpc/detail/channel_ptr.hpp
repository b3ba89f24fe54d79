// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>

namespace grpc {
class Channel;
}

namespace conn_grpc {

/// What a get returns: a gRPC channel, shared by its pool and all callers.
using channel_ptr = std::shared_ptr<grpc::Channel>;

}  // namespace conn_grpc
