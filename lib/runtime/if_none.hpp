// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace conn_grpc::runtime {

/// What a pick does while no channel is connected.
enum class if_none {
  fail,  // the pick ends in errc::not_connected
  wait,  // the pick ends in asio::error::would_block: the caller may wait. Also when other callers wait already
};

}  // namespace conn_grpc::runtime
