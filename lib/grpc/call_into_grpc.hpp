// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/features.hpp>

#include <chrono>

namespace conn_grpc::detail {

#if defined(CONN_GRPC_HAS_EVENT_ENGINE)

/// While it exists, this thread is inside of gRPC.
///
/// Such a call may need another thread before it returns: gRPC retries an RPC on a lost
/// connection, without a pause, until it has been notified of the loss. An event loop whose
/// threads are all stuck like that lets another thread do what gRPC may wait for.
class call_into_grpc {
 public:
  enum class may { call_nobody, call_user };

  explicit call_into_grpc(may its_kind = may::call_nobody) noexcept;
  ~call_into_grpc();
  call_into_grpc(const call_into_grpc&) = delete;
  call_into_grpc& operator=(const call_into_grpc&) = delete;

  /// True when some thread has been inside of one call for that long, as far as earlier
  /// calls of this function saw. Half of that time counts if the thread has used the CPU all
  /// along, as in a retry. Else a thread that may be inside of a function of the user's is not
  /// stuck: that function may block.
  static bool is_stuck(std::chrono::nanoseconds patience);

  /// The next call that begins is reported to the current loop (`callback_loop::call_begins`).
  /// @returns false when a call is under way. Then it is not certain that one will be reported.
  static bool report_next() noexcept;

 private:
  const bool outer_may_call_user_;
};

#else

struct [[maybe_unused]] call_into_grpc {};

#endif

}  // namespace conn_grpc::detail
