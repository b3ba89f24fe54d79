// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

namespace conn_grpc::detail {

/// Counts the connections over channels that the user created. These have no monitor, so
/// the library does not know which of them carries an RPC. Thread-safe.
class unmonitored_connection {
 public:
  unmonitored_connection() { count.fetch_add(1, std::memory_order_relaxed); }
  ~unmonitored_connection() { count.fetch_sub(1, std::memory_order_relaxed); }
  unmonitored_connection(const unmonitored_connection&) = delete;
  unmonitored_connection& operator=(const unmonitored_connection&) = delete;

  /// Calls `then` when gRPC has probably reported the loss that an RPC of an unknown
  /// channel has named: 20 ms later, on the completion thread. Without such a connection
  /// `then` is called at once, on this thread.
  static void await_loss_of_any(const std::function<void()>& then);

 private:
  static inline std::atomic<std::size_t> count{0};
};

}  // namespace conn_grpc::detail
