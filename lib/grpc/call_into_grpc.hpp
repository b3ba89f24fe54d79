// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/features.hpp>

#include <chrono>

namespace conn_grpc::detail {

#if defined(CONN_GRPC_HAS_EVENT_ENGINE)

/// While it exists, this thread is inside of a call into gRPC that begins something.
///
/// Such a call may need another thread before it returns: gRPC retries an RPC on a lost
/// connection, without a pause, until it has been notified of the loss. An event loop whose
/// threads are all stuck like that lets another thread notify it.
class call_into_grpc {
 public:
  call_into_grpc() noexcept;
  ~call_into_grpc();
  call_into_grpc(const call_into_grpc&) = delete;
  call_into_grpc& operator=(const call_into_grpc&) = delete;

  /// True when some thread has been inside of one call for that long, as far as earlier
  /// calls of this function saw.
  static bool is_stuck(std::chrono::steady_clock::duration patience);
};

#else

struct [[maybe_unused]] call_into_grpc {};

#endif

}  // namespace conn_grpc::detail
