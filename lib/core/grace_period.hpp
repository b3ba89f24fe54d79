// SPDX-License-Identifier: BSL-1.0
// Decides when an object that readers may still use is safe to delete, as RCU does. It is
// safe when every thread that was reading as the object was unpublished has been seen
// outside a read section. To enter or leave a section costs a plain store to a cache line
// of the thread's own. A writer looks at those lines, and never waits.
//
// RCU usually pays a full fence on entry. With it either the writer sees the reader, or
// the reader sees the writer's new object. Here a read-modify-write that the caller needs
// anyway has the same effect:
//
//   reader                                 writer
//   read_section inside;                   object.store(new)
//   turnstile.fetch_add(1, acq_rel)        turnstile.fetch_add(0, acq_rel)
//   object.load()                          left.begin()            // then, once left.elapsed(), delete old
//
// The modification order of the turnstile orders the two operations on it.
// - If the reader's comes first, the writer's reads from it, or from a later operation of
//   its release sequence. So the writer sees the mark that the reader has set before.
// - If the writer's comes first, the reader sees what the writer has stored before: the
//   new object.
//
// There is no fence, and nothing here holds on x86 only.
//
// A writer that looks again later may find the reader inside its next section. Every
// store to the mark is a release. So whichever store the writer reads, all that the
// reader did in the earlier section happened before.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

namespace conn_grpc::core {

/// A thread's mark for writers: odd while the thread is inside a read section. Only its
/// thread writes it. In the child of a fork the remaining thread writes the marks of the
/// others once. Records are never freed. A thread that ends leaves its record to a later
/// thread.
struct alignas(64) reader_record {
  std::atomic<std::uint64_t> sections{0};
  std::atomic<bool> taken{true};
  reader_record* next = nullptr;
};

// The initial-exec model avoids the call to __tls_get_addr, a third of the cost of a read
// section. It needs a few bytes of the space that the C library keeps for libraries
// loaded late.
[[gnu::tls_model("initial-exec")]] extern constinit thread_local reader_record* this_thread_record;

reader_record& register_this_thread();

class [[nodiscard]] read_section {
 public:
  read_section() noexcept : record_(this_thread_record ? *this_thread_record : register_this_thread()) { advance(); }
  ~read_section() { advance(); }

  read_section(const read_section&) = delete;
  read_section& operator=(const read_section&) = delete;

 private:
  void advance() noexcept {
    record_.sections.store(record_.sections.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  reader_record& record_;
};

/// The readers that were inside a section when `begin()` was called.
class grace_period {
 public:
  /// Call it once. Terminates the process when there is no memory.
  void begin() noexcept;

  /// True when all of them have left their sections. The caller then sees all that they
  /// did. For writers only; not thread-safe.
  [[nodiscard]] bool elapsed() noexcept;

 private:
  std::vector<std::pair<const reader_record*, std::uint64_t>> inside_;
};

}  // namespace conn_grpc::core
