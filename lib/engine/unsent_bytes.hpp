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

/// A queue of bytes for a socket. It releases no slice itself, because that may call a function of
/// the user's.
///
/// *Thread safety*: none.
class unsent_bytes {
 public:
  /// Takes all slices of that buffer.
  void take(SliceBuffer& from) { ::grpc_slice_buffer_move_into(from.c_slice_buffer(), slices_.c_slice_buffer()); }

  [[nodiscard]] bool empty() { return sent_slices_ == slices_.Count(); }

  /// Lets these refer to the next bytes. @returns how many of them do.
  [[nodiscard]] std::size_t next(std::span<iovec> parts) {
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

  /// So many bytes have been sent.
  void sent(std::size_t size) {
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

  /// Gives up all slices, sent or not.
  [[nodiscard]] SliceBuffer give_up() {
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
