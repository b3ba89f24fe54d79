// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpc/event_engine/slice_buffer.h>
#include <grpc/slice.h>
#include <grpc/slice_buffer.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <utility>

namespace conn_grpc::engine {

using grpc_event_engine::experimental::SliceBuffer;

/// A queue of bytes for a socket. Only its destructor releases slices, because a release may call a
/// function of the user's. See `take_all`.
///
/// *Thread safety*: none.
class unsent_bytes {
 public:
  /// Moves all slices of that buffer to the end.
  void append(SliceBuffer& from) { ::grpc_slice_buffer_move_into(from.c_slice_buffer(), slices_.c_slice_buffer()); }

  [[nodiscard]] bool empty() { return sent_slices_ == slices_.Count(); }

  /// Fills `parts` with the next unsent bytes. @returns the number of parts filled.
  [[nodiscard]] std::size_t fill(std::span<iovec> parts) {
    const auto& all = *slices_.c_slice_buffer();
    std::size_t count = 0;
    std::size_t offset = sent_of_slice_;
    for (auto i = sent_slices_; i < all.count && count < parts.size(); ++i, ++count) {
      parts[count] = {.iov_base = GRPC_SLICE_START_PTR(all.slices[i]) + offset,
                      .iov_len = GRPC_SLICE_LENGTH(all.slices[i]) - offset};
      offset = 0;
    }
    return count;
  }

  /// Records that `size` more bytes have been sent.
  void record_sent(std::size_t size) {
    const auto& all = *slices_.c_slice_buffer();
    while (sent_slices_ < all.count) {
      const auto rest = GRPC_SLICE_LENGTH(all.slices[sent_slices_]) - sent_of_slice_;
      if (size < rest) {
        sent_of_slice_ += size;
        return;
      }
      size -= rest;
      sent_of_slice_ = 0;
      ++sent_slices_;
    }
  }

  /// Moves all slices out, sent or not. The caller destroys them.
  [[nodiscard]] SliceBuffer take_all() {
    sent_slices_ = 0;
    sent_of_slice_ = 0;
    return std::exchange(slices_, SliceBuffer());
  }

 private:
  SliceBuffer slices_;
  std::size_t sent_slices_ = 0;
  std::size_t sent_of_slice_ = 0;
};

}  // namespace conn_grpc::engine
