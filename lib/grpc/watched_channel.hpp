// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/tls_diagnosis.hpp"
#include "runtime/connector.hpp"

#include <grpc/grpc.h>
#include <conn_grpc/options.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace conn_grpc::detail {

/// One gRPC channel from its first attempt to the loss of its connection, and no further: gRPC would try again by
/// itself, hence the channel is dropped as soon as it fails. Driven by gRPC's state watch on the completion thread.
///
/// gRPC's states on the way, as measured with 1.51:
///
///   IDLE -> CONNECTING -> READY -> anything else      connected, then lost
///   IDLE -> CONNECTING -> TRANSIENT_FAILURE           failed; a call that ends at once tells the reason
///   IDLE -> CONNECTING -> IDLE                        READY was so short that the watch did not see it: lost
///
/// All functions are thread-safe.
class watched_channel : public std::enable_shared_from_this<watched_channel> {
 public:
  /// @param diagnosis may be null.
  watched_channel(channel_ptr channel, std::function<void()> changed, std::shared_ptr<const tls_diagnosis> diagnosis)
      : diagnosis_(std::move(diagnosis)), channel_(std::move(channel)), changed_(std::move(changed)) {}

  /// An attempt that failed before there was a channel.
  explicit watched_channel(std::string failure)
      : state_(runtime::connection_state::failed), failure_(std::move(failure)) {}

  /// Asks the channel to connect. `changed` is called on the completion thread.
  void start();

  /// Drops the channel. A watch may stay pending while somebody else holds it, but says nothing any more.
  void abandon() noexcept;

  [[nodiscard]] runtime::connection_state state() const;
  [[nodiscard]] std::string failure() const;
  /// While it is connected; null before and after.
  [[nodiscard]] channel_ptr channel() const;

 private:
  class watch;
  class reason_call;

  void begin();
  void wait_for_change_from(grpc_connectivity_state last);
  void changed_from(grpc_connectivity_state last);
  void ask_for_reason();
  void failed(const std::string& reason);
  void end(runtime::connection_state outcome, std::string failure = {});

  const std::shared_ptr<const tls_diagnosis> diagnosis_;
  mutable std::mutex mutex_;
  runtime::connection_state state_ = runtime::connection_state::connecting;
  std::string failure_;            // already while an inquiry looks into it
  channel_ptr channel_;            // null once failed, lost or abandoned
  std::function<void()> changed_;  // empty once abandoned
};

/// What the actor holds: the channel is abandoned with it.
class grpc_connection {
 public:
  /// @param proxy what gRPC connects to instead of the server, if it does.
  explicit grpc_connection(std::shared_ptr<watched_channel> watched, std::string proxy = {})
      : watched_(std::move(watched)), proxy_(std::move(proxy)) {}
  ~grpc_connection() { watched_->abandon(); }
  grpc_connection(const grpc_connection&) = delete;
  grpc_connection& operator=(const grpc_connection&) = delete;

  [[nodiscard]] runtime::connection_state state() const { return watched_->state(); }
  [[nodiscard]] std::string failure() const {
    auto reason = watched_->failure();
    return proxy_.empty() || reason.empty() ? reason : reason + " (" + proxy_ + ")";
  }
  [[nodiscard]] channel_ptr channel() const { return watched_->channel(); }

 private:
  std::shared_ptr<watched_channel> watched_;
  std::string proxy_;
};

}  // namespace conn_grpc::detail
