// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/features.hpp>

#include <chrono>

namespace conn_grpc::detail {

#if defined(CONN_GRPC_HAS_EVENT_ENGINE)

/// While it exists, this thread is inside of a call into gRPC.
///
/// A call may need another thread before it returns: gRPC retries an RPC on a lost
/// connection, without a pause, until it has been notified of the loss. An event loop whose
/// threads are all stuck like that lets another thread do what the call waits for.
class call_into_grpc {
 public:
  enum class may_call { only_grpc, user };

  explicit call_into_grpc(may_call its_kind = may_call::only_grpc) noexcept;
  ~call_into_grpc();
  call_into_grpc(const call_into_grpc&) = delete;
  call_into_grpc& operator=(const call_into_grpc&) = delete;

  /// True when a thread is stuck: it has been inside of one call for `limit`, or has used half
  /// of `limit` as CPU time there. While the call may run a function of the user's, only the
  /// CPU time counts, because that function may block. Both times begin when this function
  /// first sees the call.
  static bool is_stuck(std::chrono::nanoseconds limit);

  /// Reports the next call that begins to the current loop (`callback_loop::call_has_begun`).
  /// @returns false when a call is already under way. That call may not be reported.
  static bool report_next() noexcept;

 private:
  const bool outer_may_call_user_;
};

#else

struct [[maybe_unused]] call_into_grpc {};

#endif

}  // namespace conn_grpc::detail
