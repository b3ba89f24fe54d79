// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_settings.hpp"

#include <conn_grpc/status.hpp>

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace conn_grpc::runtime {

/// Publishes what happens to one channel: its status, its log lines, its telemetry. The actor reports each transition
/// to it. `name()` and `status()` are thread-safe, the rest is for the actor's strand.
class channel_probe {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::nanoseconds;

  channel_probe(const channel_settings& settings, std::string name);

  // What happened …
  void connect_failed(duration took, std::string_view reason);
  void connection_lost(duration up, std::string_view reason);
  void connection_released(duration up);
  void disconnected(duration up, std::string_view reason);  // after one of these two, and the user's callback
  void user_code_failed(std::string_view what, std::string_view consequence);

  // … and the state it led to.
  void connecting();
  void connected(time_point now, duration took);
  void backing_off(time_point until, std::chrono::milliseconds delay);
  void stopped();  // may be said twice

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] channel_status status() const;

 private:
  struct transition {
    channel_state to;
    std::optional<time_point> connected_since{};
    std::optional<time_point> next_attempt{};
  };
  template <class Detail>
  void enter(const transition& made, Detail detail);
  [[nodiscard]] bool logs_transitions() const;
  void leave_connected(channel_state to);
  void set_last_error(std::string_view text);
  void tell(event name, duration d, std::string_view error = {}) const noexcept;

  const channel_settings& settings_;
  const std::string name_;
  std::string label_;                                // how each line begins
  std::string happened_;                             // why the next transition is made
  channel_state told_ = channel_state::not_started;  // where the last line ended
  mutable std::mutex mutex_;
  channel_status status_;  // written on the strand only, which reads it without the mutex
};

}  // namespace conn_grpc::runtime
