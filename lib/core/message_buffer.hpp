// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>

namespace conn_grpc::core {

/// Knows which of a fixed number of slots hold messages that wait, first in, first out, and
/// the sizes of these messages. The messages themselves are elsewhere. Not thread-safe.
template <std::size_t Slots>
class message_buffer {
 public:
  /// HTTP/2's initial window: the most bytes that a connection has in flight at first.
  static constexpr std::size_t most_bytes = 65'535;

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }

  [[nodiscard]] bool has_several() const noexcept { return count_ > 1; }

  /// True when another message may be put in, of any size. Behind a message that is larger
  /// than the limit there is no room.
  [[nodiscard]] bool has_room() const noexcept { return count_ < Slots && bytes_ < most_bytes; }

  /// There is enough room to make waking the other side worthwhile.
  [[nodiscard]] bool is_half_empty() const noexcept { return count_ <= Slots / 2 && bytes_ <= most_bytes / 2; }

  /// The slot for the next message. There must be a free one. It stays the same until `push`.
  [[nodiscard]] std::size_t next() const noexcept { return (first_ + count_) % Slots; }

  /// The same, to call before the next message is begun. An empty buffer begins with its
  /// first slot. So messages that wait alone, as large messages do, use one slot, and leave
  /// no memory behind in the others.
  [[nodiscard]] std::size_t begin() noexcept {
    if (empty()) first_ = 0;
    return next();
  }

  /// The slot of the message that has waited longest. There must be one.
  [[nodiscard]] std::size_t front() const noexcept { return first_; }

  void push(std::size_t bytes) noexcept {
    sizes_[next()] = bytes;
    bytes_ += bytes;
    ++count_;
  }

  void pop() noexcept {
    bytes_ -= sizes_[first_];
    first_ = (first_ + 1) % Slots;
    --count_;
  }

  void clear() noexcept {
    while (!empty()) pop();
  }

 private:
  std::array<std::size_t, Slots> sizes_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace conn_grpc::core
