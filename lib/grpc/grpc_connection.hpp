// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "grpc/call_monitor.hpp"
#include "grpc/watched_channel.hpp"
#include "runtime/connector.hpp"

#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::detail {

/// What the actor holds. Destroying it abandons the channel.
class grpc_connection final : public runtime::connection {
 public:
  explicit grpc_connection(std::shared_ptr<watched_channel> watched) : watched_(std::move(watched)) {}
  ~grpc_connection() override { watched_->abandon(); }
  grpc_connection(const grpc_connection&) = delete;
  grpc_connection& operator=(const grpc_connection&) = delete;

  [[nodiscard]] runtime::connection_state state() const override { return watched_->state(); }
  [[nodiscard]] std::string failure() const override { return watched_->failure(); }
  [[nodiscard]] runtime::connection_loss loss() const override { return watched_->loss(); }
  [[nodiscard]] bool may_know_more() const override { return watched_->may_know_more(); }
  [[nodiscard]] channel_ptr channel() const override { return watched_->channel(); }
  [[nodiscard]] bool is_serving() const override { return watched_->is_serving(); }
  [[nodiscard]] std::string why_not_serving() const override { return watched_->why_not_serving(); }
  /// A monitored_channel: the one that is handed out, or, where keepalive is on, the lost
  /// one. gRPC remembers in it that a server has found the pings too frequent.
  [[nodiscard]] std::shared_ptr<void> take_reusable(bool is_handed_out) override {
    if (!is_handed_out && !watched_->options().sends_keepalive) return nullptr;
    auto idle = watched_->take_idle_channel();
    return idle.channel ? std::make_shared<monitored_channel>(std::move(idle)) : nullptr;
  }

 private:
  const std::shared_ptr<watched_channel> watched_;
};

}  // namespace conn_grpc::detail
