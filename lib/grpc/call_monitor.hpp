// SPDX-License-Identifier: BSL-1.0
// What RPCs show about the connection that carries them. gRPC reports the loss of a
// connection as a bare state. The reason is in the statuses of the RPCs that ended with
// the connection, and these arrive before the state.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/status.h>
#include <conn_grpc/options.hpp>

#include "runtime/connector.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace conn_grpc::detail {

struct grpc_session;
class watched_channel;

/// True for a status that gRPC itself gives an RPC whose connection ended. A server may
/// send the same words, for example a proxy that forwards the status of its own backend.
[[nodiscard]] bool names_lost_connection(const ::grpc::Status& status);

/// The number of RPCs that are in flight over all channels of a pool.
using call_count = std::atomic<std::size_t>;

/// Follows the RPCs of this library over one gRPC channel. Thread-safe.
class call_monitor {
 public:
  call_monitor(std::weak_ptr<grpc_session> session, std::shared_ptr<call_count> calls_of_pool)
      : session_(std::move(session)), calls_of_pool_(std::move(calls_of_pool)) {}

  /// Calls `start`, which starts the RPC of `context`. Before the RPC begins, `monitor`
  /// becomes the monitor of its channel, which counts the RPC. It stays null for a
  /// channel without a monitor.
  static void start_call(const ::grpc::ClientContext& context, std::shared_ptr<call_monitor>& monitor,
                         const std::function<void()>& start);

  /// Called once for each RPC that was counted, before its caller continues. Withdraws
  /// the channel when the RPC shows that the connection is lost.
  /// @returns null, or a connection whose loss the status names while gRPC still calls it
  /// connected. Then the caller continues after `await_loss`.
  [[nodiscard]] std::shared_ptr<watched_channel> call_ended(const ::grpc::Status& status);

  /// Called once for each RPC that was counted, when its handler has been posted or
  /// destroyed. Then the pool does not count it any more.
  void call_completed();

  /// From now on the channel has this connection.
  void follow(std::weak_ptr<watched_channel> connection);

  /// A status named a loss that did not happen: the server itself answers with such
  /// words. They are not believed again on this connection.
  void dismiss_reason();

  /// True while RPCs of a lost connection are in flight, and no RPC has given the reason.
  [[nodiscard]] bool may_know_more() const;

  /// Why the connection was lost, as far as RPCs show.
  [[nodiscard]] runtime::connection_loss loss() const;

 private:
  friend class monitor_announcer;
  void keep_callback_threads();
  std::shared_ptr<watched_channel> call_succeeded();
  std::shared_ptr<watched_channel> call_failed(const ::grpc::Status& status);

  const std::weak_ptr<grpc_session> session_;
  const std::shared_ptr<call_count> calls_of_pool_;
  std::atomic<bool> keeps_callback_threads_{false};

  std::atomic<std::size_t> in_flight_{0};
  std::atomic<bool> has_served_{false};  // an RPC over this connection has succeeded
  mutable std::mutex mutex_;
  std::weak_ptr<watched_channel> connection_;
  bool was_misled_ = false;  // a status named a loss that did not happen
  std::string reason_;       // the words of the first RPC that ended with this connection
};

/// A gRPC channel, and the monitor of its RPCs. The monitor is null when the user created
/// the channel.
struct monitored_channel {
  channel_ptr channel;
  std::shared_ptr<call_monitor> monitor;
};

/// As grpc::CreateCustomChannel, with a monitor.
[[nodiscard]] monitored_channel create_monitored_channel(const std::shared_ptr<grpc_session>& session,
                                                         const std::string& address,
                                                         const std::shared_ptr<::grpc::ChannelCredentials>& credentials,
                                                         const ::grpc::ChannelArguments& arguments,
                                                         const std::shared_ptr<call_count>& calls_of_pool);

}  // namespace conn_grpc::detail
