// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/call_monitor.hpp"

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <memory>

namespace conn_grpc::detail {

/// One RPC of the library, whatever its kind, as the monitor of its channel counts it.
///
/// *Thread safety*: none. The calls below follow one another.
class monitored_call {
 public:
  monitored_call() = default;
  ~monitored_call() { completed(); }
  monitored_call(const monitored_call&) = delete;
  monitored_call& operator=(const monitored_call&) = delete;

  /// Calls `start`, which starts the RPC of `context`.
  void start(const grpc::ClientContext& context, const std::function<void()>& start);

  /// gRPC has ended the RPC. The channel of an RPC that ended with its connection is
  /// withdrawn. True when the status names a loss that gRPC has not reported: then the
  /// caller continues after `await_loss`.
  [[nodiscard]] bool ended(const grpc::Status& status);

  /// Calls `then` when gRPC has reported the loss, or has had the time to: on another
  /// thread, or on this one. Call it once, after `ended` has returned true.
  void await_loss(const std::function<void()>& then);

  /// The caller continues. The pool does not count the RPC any more.
  void completed();

 private:
  std::shared_ptr<call_monitor> monitor_;  // of the channel that carries the RPC; null when it has none
  std::shared_ptr<watched_channel> lost_;  // the connection whose loss the status names
};

}  // namespace conn_grpc::detail
