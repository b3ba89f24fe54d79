// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_picker.hpp"
#include "runtime/connector.hpp"
#include "runtime/member.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// One connection of a channel, from its attempt to its release. The actor decides when
/// each step is made. A session knows no other connection of its channel. All functions
/// are for the strand.
template <class Clock>
class connection_session {
 public:
  using picker_type = channel_picker<Clock>;

  /// @param id of the connection; unique in the pool.
  connection_session(std::unique_ptr<connection> begun, std::shared_ptr<const channel_identity> channel,
                     std::uint64_t id, picker_type& picker)
      : connection_(std::move(begun)), channel_(std::move(channel)), id_(id), picker_(picker) {}

  /// Withdraws the channel, and closes the connection.
  ~connection_session() { withdraw(); }
  connection_session(const connection_session&) = delete;
  connection_session& operator=(const connection_session&) = delete;

  [[nodiscard]] bool is_connecting() const { return connection_->state() == connection_state::connecting; }
  [[nodiscard]] bool is_connected() const { return connection_->state() == connection_state::connected; }
  /// False while the server says that it does not serve.
  [[nodiscard]] bool is_serving() const { return connection_->is_serving(); }
  [[nodiscard]] std::string why_not_serving() const { return connection_->why_not_serving(); }
  /// True while it is connected, or served until its loss, and gRPC connects again when an
  /// RPC asks.
  [[nodiscard]] bool is_usable() const { return is_connected() || (is_serving() && loss().reconnects); }

  /// Null unless it is connected.
  [[nodiscard]] channel_ptr channel() const { return connection_->channel(); }

  /// Why there is no connection.
  /// @param limit the time after which an attempt that still connects was abandoned.
  [[nodiscard]] std::string failure(std::chrono::milliseconds limit) const {
    switch (connection_->state()) {
      case connection_state::failed:
        return connection_->failure();
      case connection_state::lost:
        return "the connection was closed as soon as it was established";
      default: {
        const auto why = "given up after " + std::to_string(limit.count()) + " ms";
        const auto known = connection_->failure();
        return known.empty() ? "the attempt did not end, and was " + why : known + " (" + why + ")";
      }
    }
  }

  /// From now on the channel is handed out, and not that of another connection in its
  /// slot. A connection that does not serve is not handed out.
  /// @return false, without effect, when the connection is not connected any more.
  bool publish() {
    auto channel = connection_->channel();
    if (!channel) return false;
    published_ = channel.get();
    if (!is_serving()) return true;
    if (!member_) member_ = picker_.leases().make_member(channel_, id_, std::move(channel));
    picker_.publish(member_);
    // It was lost, or stopped serving, before there was a member to withdraw.
    if (!is_connected() || !is_serving()) withdraw();
    return true;
  }

  void withdraw() noexcept { picker_.withdraw(channel_->slot, id_); }

  /// True while gets return the channel.
  [[nodiscard]] bool is_handed_out() const { return picker_.hands_out(channel_->slot, id_); }

  /// True when this channel was handed out for this connection, or is to be when it serves.
  [[nodiscard]] bool has_published(const ::grpc::Channel* channel) const { return published_ == channel; }

  /// True while RPCs that are ending may still give the reason of the loss.
  [[nodiscard]] bool may_know_more() const { return connection_->may_know_more(); }
  [[nodiscard]] connection_loss loss() const { return connection_->loss(); }

  /// What the next attempt may use of a lost connection. Null for nothing.
  /// @param is_handed_out see `connection::take_reusable`.
  [[nodiscard]] std::shared_ptr<void> take_reusable(bool is_handed_out) {
    return connection_->take_reusable(is_handed_out);
  }

 private:
  std::unique_ptr<connection> connection_;
  const std::shared_ptr<const channel_identity> channel_;
  const std::uint64_t id_;
  picker_type& picker_;
  const ::grpc::Channel* published_ = nullptr;
  std::shared_ptr<const member> member_;  // once it was handed out
};

}  // namespace conn_grpc::runtime
