// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>
#include <utility>

namespace conn_grpc::core {

/// Decides for how long a message of a stream waits for the messages that follow it.
///
/// Inside of the user's io_context gRPC writes a message with a system call as soon as it
/// is begun. A coroutine that writes in a loop has the next message when the handlers that
/// are ready have run. So the first message is written at once, and opens a burst. Those
/// that follow are held, and looked at behind the ready handlers. They are written when a
/// look finds no new message, after `longest_hold`, or when there is no room for more.
///
/// *Thread safety*: none.
class write_burst {
 public:
  using clock = std::chrono::steady_clock;

  /// Ten times what a system call costs, and less than what a network takes.
  static constexpr std::chrono::microseconds longest_hold{100};

  /// While it is open, a look is under way, and messages are held.
  [[nodiscard]] bool is_open() const noexcept { return open_; }

  void open() noexcept {
    open_ = true;
    has_new_ = false;
    held_since_.reset();
  }
  void close() noexcept { open_ = false; }

  /// There is another message.
  void add() noexcept { has_new_ = true; }

  /// A look finds messages held. Returns whether they should wait for another look.
  [[nodiscard]] bool holds_on(clock::time_point now) noexcept {
    if (!held_since_) held_since_ = now;
    return std::exchange(has_new_, false) && now - *held_since_ < longest_hold;
  }

  /// A look finds no message held, or the held ones are written. Returns whether there were
  /// new ones since the last look.
  bool holds_nothing() noexcept {
    held_since_.reset();
    return std::exchange(has_new_, false);
  }

 private:
  bool open_ = false;
  bool has_new_ = false;
  std::optional<clock::time_point> held_since_;
};

}  // namespace conn_grpc::core
