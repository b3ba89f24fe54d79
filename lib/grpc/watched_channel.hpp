// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/call_monitor.hpp"
#include "grpc/callback_loop.hpp"
#include "grpc/health_watch.hpp"
#include "grpc/tls_diagnosis.hpp"
#include "grpc/unmonitored_connection.hpp"
#include "runtime/connector.hpp"

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <conn_grpc/options.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace conn_grpc::detail {

/// How a channel is watched; the same for all channels of a pool.
struct watch_options {
  std::chrono::milliseconds connect_timeout;  // of the attempt at one address
  std::chrono::milliseconds first_backoff;    // after this gRPC may begin a second attempt by itself
  std::chrono::milliseconds attempt_limit;    // an abandoned attempt is dropped after this, even while it connects
  bool sends_keepalive;                       // then gRPC itself may have closed a lost connection
  std::function<std::string(const std::string&)> proxy_for;  // what gRPC connects to instead of an address; else empty
  std::shared_ptr<const tls_diagnosis> diagnosis;            // may be null
  std::optional<std::string> health_service;                 // whose health is watched, if any
};

/// One gRPC channel, from an attempt to the loss of its connection. gRPC's state watch
/// drives it, on the completion thread.
///
/// gRPC's states on the way, as measured with 1.51:
///
///   IDLE -> CONNECTING -> READY -> anything else      connected, then lost
///   IDLE -> CONNECTING -> TRANSIENT_FAILURE           failed; a call that ends at once has the reason
///   IDLE -> CONNECTING -> IDLE                        READY was so short that the watch did not see it: lost
///
/// A failed channel is dropped at once, because gRPC would try again by itself. A lost
/// channel is idle, and stays idle until it is asked to connect. So the next attempt may
/// use it again.
///
/// With a health service it counts as connected once the server has answered.
///
/// All functions are thread-safe.
class watched_channel : public std::enable_shared_from_this<watched_channel> {
 public:
  watched_channel(std::string address, monitored_channel channel, runtime::connection_observer changed,
                  std::shared_ptr<const watch_options> options)
      : options_(std::move(options)),
        address_(std::move(address)),
        monitor_(std::move(channel.monitor)),
        channel_(std::move(channel.channel)),
        changed_(std::make_shared<const runtime::connection_observer>(std::move(changed))) {}

  /// An attempt that failed before there was a channel.
  watched_channel(std::string address, std::string failure, std::shared_ptr<const watch_options> options)
      : options_(std::move(options)),
        address_(std::move(address)),
        state_(runtime::connection_state::failed),
        failure_(std::move(failure)) {}

  /// Asks the channel to connect.
  void start();

  /// Drops the channel, and does not call the observer again. A channel that is
  /// connecting is dropped when it no longer is, after 1.5 times `connect_timeout` at the
  /// latest. gRPC 1.51 leaves the socket open for ever when a channel is destroyed at the
  /// beginning of an attempt.
  void abandon() noexcept;

  [[nodiscard]] runtime::connection_state state() const { return locked(state_); }
  /// With the proxy, if gRPC has used one.
  [[nodiscard]] std::string failure() const;
  [[nodiscard]] const watch_options& options() const { return *options_; }
  [[nodiscard]] runtime::connection_loss loss() const;
  [[nodiscard]] bool may_know_more() const { return monitor_ && monitor_->may_know_more(); }
  /// The channel while it is connected. Null before and after.
  [[nodiscard]] channel_ptr channel() const;
  [[nodiscard]] bool is_serving() const { return why_not_serving().empty(); }
  /// Empty while it serves. After a loss it stays what it was.
  [[nodiscard]] std::string why_not_serving() const { return locked(not_serving_); }

  /// The idle channel, once the connection is lost. Call it once.
  [[nodiscard]] monitored_channel take_idle_channel();

  /// An RPC has ended in UNAVAILABLE. If the connection is lost, RPCs do not make gRPC
  /// connect again successfully.
  void call_was_unavailable();

  /// Asks gRPC whether the connection is still there. True when it is not.
  bool notice_loss();

  /// Calls `then` on the completion thread. It does so when the loss that an RPC has
  /// named is noticed, or when no loss is noticed for 250 ms.
  /// @param lost released on a thread that is not gRPC's.
  static void await_loss(std::shared_ptr<watched_channel> lost, const std::function<void()>& then);

 private:
  class watch;
  class loss_watch;

  template <class T>
  [[nodiscard]] T locked(const T& member) const {
    const std::lock_guard lock(mutex_);
    return member;
  }

  void begin();
  [[nodiscard]] channel_ptr current() const { return locked(channel_); }
  [[nodiscard]] bool is_abandoned() const { return locked(abandoned_until_).has_value(); }
  [[nodiscard]] bool is_certificate_fetch() const { return !locked(failure_).empty(); }
  [[nodiscard]] std::string words_of_grpc() const { return locked(failure_); }
  [[nodiscard]] std::string words_of_silent_health_service() const;
  [[nodiscard]] bool reconnects() const { return locked(reconnects_); }
  [[nodiscard]] gpr_timespec deadline_of_change_from(grpc_connectivity_state last) const;
  void wait_for_change_from(const channel_ptr& channel, grpc_connectivity_state last);
  void changed_from(grpc_connectivity_state last, bool in_time);
  void connected(const channel_ptr& channel);
  [[nodiscard]] std::shared_ptr<health_watch> make_health_watch(const channel_ptr& channel);
  void health_changed(std::string why_not_serving);
  void ask_for_reason();
  void failed(const std::string& reason);
  void end(runtime::connection_state outcome, std::string failure = {});
  void report_loss();

  const std::shared_ptr<const watch_options> options_;
  const std::string address_;
  const std::shared_ptr<call_monitor> monitor_;              // null when the user created the channel
  const void* const loop_ = callback_loop::current().get();  // only compared; null: gRPC's own engine
  gpr_timespec next_attempt_of_grpc_{};
  mutable std::mutex mutex_;
  runtime::connection_state state_ = runtime::connection_state::connecting;
  std::string failure_;                                          // also set while a certificate fetch is made
  channel_ptr channel_;                                          // null once failed, taken or abandoned
  std::shared_ptr<health_watch> health_;                         // while gRPC is connected, with a health service
  std::string not_serving_;                                      // why; empty while it serves
  std::optional<unmonitored_connection> unmonitored_;            // while it is connected, if it has no monitor
  std::shared_ptr<const runtime::connection_observer> changed_;  // empty once abandoned
  bool reconnects_ = false;                                      // once lost: an RPC makes gRPC connect again
  std::optional<gpr_timespec> abandoned_until_;                  // set when it is abandoned while it is connecting
};

}  // namespace conn_grpc::detail
