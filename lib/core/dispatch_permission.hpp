// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>

#include <utility>

namespace conn_grpc::core {

/// What `detail::may_dispatch_in` answers on this thread. A new one begins without the
/// permission, and its end restores the one before.
class dispatch_permission {
 public:
  dispatch_permission() noexcept : before_(std::exchange(context_of_thread, nullptr)) {}
  ~dispatch_permission() { context_of_thread = before_; }
  dispatch_permission(const dispatch_permission&) = delete;
  dispatch_permission& operator=(const dispatch_permission&) = delete;

  /// The next handler of that context that this thread completes may be called there.
  static void allow(const boost::asio::execution_context* context) noexcept { context_of_thread = context; }
  static void forbid() noexcept { context_of_thread = nullptr; }

  /// Uses the permission up.
  static bool take(const boost::asio::execution_context& context) noexcept {
    if (context_of_thread != &context) return false;
    context_of_thread = nullptr;
    return true;
  }

 private:
  [[gnu::tls_model(
      "initial-exec")]] inline static constinit thread_local const boost::asio::execution_context* context_of_thread =
      nullptr;

  const boost::asio::execution_context* const before_;
};

}  // namespace conn_grpc::core
