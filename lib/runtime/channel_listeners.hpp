// SPDX-License-Identifier: BSL-1.0
// The listeners of a channel's transitions: its status, its log lines, its telemetry.
#pragma once

#include "runtime/channel_transition.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/member.hpp"

#include <conn_grpc/status.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// The status of a channel. `status()` is thread-safe; `on()` is for the strand.
class status_listener {
 public:
  explicit status_listener(const channel_identity& channel);

  void on(const channel_transition& made);
  [[nodiscard]] channel_status status() const;

 private:
  void enter(channel_state to, const channel_transition& made);
  void set_state(channel_state to);
  void set_last_error(std::string text);

  mutable std::mutex mutex_;
  channel_status status_;
};

/// One log line for each change of the state. On the strand.
class log_listener {
 public:
  log_listener(const checked_pool_options& options, const channel_identity& channel);

  void on(const channel_transition& made);

 private:
  void enter(channel_state to, const channel_transition& made);
  [[nodiscard]] bool logs_transitions() const;

  const checked_pool_options& options_;
  std::string label_;                                 // the beginning of each line
  std::string cause_;                                 // the reason of the next change of the state
  channel_state state_ = channel_state::not_started;  // the state at the end of the last line
};

/// The telemetry events of a channel. On the strand.
class telemetry_listener {
 public:
  telemetry_listener(const checked_pool_options& options, const channel_identity& channel)
      : options_(options), channel_(channel) {}

  void on(const channel_transition& made) const noexcept;

 private:
  void emit(event name, const channel_transition& made) const noexcept;

  const checked_pool_options& options_;
  const channel_identity& channel_;
};

/// Notifies the listeners of one channel. `status()` is thread-safe, the other functions
/// are for the strand.
class channel_listeners {
 public:
  channel_listeners(const checked_pool_options& options, std::shared_ptr<const channel_identity> channel)
      : channel_(std::move(channel)), status_(*channel_), log_(options, *channel_), telemetry_(options, *channel_) {}

  void notify(channel_transition made);
  [[nodiscard]] channel_status status() const { return status_.status(); }

 private:
  const std::shared_ptr<const channel_identity> channel_;
  std::uint64_t attempts_ = 0;
  bool stopped_ = false;
  status_listener status_;
  log_listener log_;
  telemetry_listener telemetry_;
};

}  // namespace conn_grpc::runtime
