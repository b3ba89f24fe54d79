// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>
#include <utility>

namespace conn_grpc::core {

/// Decides for how long a message of a stream is kept for the messages that follow it.
///
/// Inside of the user's io_context gRPC writes a message with a system call as soon as it
/// is begun. A coroutine that writes in a loop has the next message when the handlers that
/// are ready have run. So the first message is written at once, and opens a burst. Those
/// that follow are kept, and looked at behind the ready handlers. They are written when a
/// look finds no new message, or finds that they have been kept for long enough.
///
/// *Thread safety*: none.
class write_burst {
 public:
  using clock = std::chrono::steady_clock;

  /// Ten times what a system call costs, and less than what a network takes.
  static constexpr std::chrono::microseconds long_enough{100};

  enum class verdict {
    look_again,
    write,  // and look again
    over,
  };

  /// While it is open, a look is under way, and messages may be kept.
  [[nodiscard]] bool is_open() const noexcept { return open_; }

  void open() noexcept {
    open_ = true;
    has_new_ = false;
    kept_since_.reset();
  }
  void close() noexcept { open_ = false; }

  /// There is another message.
  void add() noexcept { has_new_ = true; }

  /// @param keeps Messages are kept.
  [[nodiscard]] verdict look(bool keeps, clock::time_point now) noexcept {
    const bool has_new = std::exchange(has_new_, false);
    if (!keeps) {
      kept_since_.reset();
      return has_new ? verdict::look_again : verdict::over;
    }
    if (!kept_since_) kept_since_ = now;
    if (has_new && now - *kept_since_ < long_enough) return verdict::look_again;
    kept_since_.reset();
    return verdict::write;
  }

 private:
  bool open_ = false;
  bool has_new_ = false;
  std::optional<clock::time_point> kept_since_;  // by a look
};

}  // namespace conn_grpc::core
