// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>
#include <utility>

namespace conn_grpc::core {

/// Decides how long a message of a stream is kept, so that it is sent together with the
/// messages that follow it.
///
/// Inside of the user's io_context gRPC sends each message with a system call of its own, as
/// soon as the write begins. A coroutine that writes in a loop has its next message when the
/// handlers that are ready have run. So the first message is written at once, and opens a
/// burst. The next ones are kept. The stream calls `look` each time when the ready handlers
/// have run. The kept messages are written when a look finds no new message, or when they
/// have been kept for `long_enough`.
///
/// *Thread safety*: none.
class write_burst {
 public:
  using clock = std::chrono::steady_clock;

  /// Ten times the cost of a system call, and less than the delay of a network.
  static constexpr std::chrono::microseconds long_enough{100};

  enum class verdict {
    look_again,
    write,  // what is kept, and look again
    over,   // close the burst
  };

  /// While it is open, the stream has queued a look, and may keep messages.
  [[nodiscard]] bool is_open() const noexcept { return open_; }

  void open() noexcept {
    open_ = true;
    has_new_ = false;
  }
  void close() noexcept { open_ = false; }

  /// Another message has come.
  void add() noexcept { has_new_ = true; }

  /// What was kept is being written.
  void written() noexcept { kept_since_.reset(); }

  /// @param keeps True when messages are kept.
  [[nodiscard]] verdict look(bool keeps, clock::time_point now) noexcept {
    const bool has_new = std::exchange(has_new_, false);
    if (!keeps) return has_new ? verdict::look_again : verdict::over;
    if (!kept_since_) kept_since_ = now;
    return has_new && now - *kept_since_ < long_enough ? verdict::look_again : verdict::write;
  }

 private:
  bool open_ = false;
  bool has_new_ = false;
  std::optional<clock::time_point> kept_since_;  // the first look that found what is kept
};

}  // namespace conn_grpc::core
