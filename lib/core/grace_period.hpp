// SPDX-License-Identifier: BSL-1.0
// When an object that readers may still use is safe to delete. RCU's answer: once every thread that was
// reading when the object was unpublished has been seen outside a read section. Entering and leaving one costs a plain
// store to a thread's own cache line each; a writer looks at those lines, it never waits.
//
// The usual price of RCU is a full fence on entry, so that a writer either sees the reader or the reader sees the
// writer's new object. Here the caller pays it with a read-modify-write that it needs anyway:
//
//   reader                                 writer
//   read_section inside;                   object.store(new)
//   turnstile.fetch_add(1, acq_rel)        turnstile.fetch_add(0, acq_rel)
//   object.load()                          left.begin()            // then, once left.elapsed(), delete old
//
// The two operations on the turnstile are ordered by its modification order. If the reader's comes first, the writer's
// reads from it or from a later one in its release sequence, hence sees the mark set before it. If the writer's comes
// first, the reader sees what was stored before it: the new object. No fence, and nothing that only holds on x86.
//
// A writer that looks again later may find the reader inside its next section: every store to the mark is a release,
// so that whichever one it reads, all that the reader did in the earlier section happened before.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

namespace conn_grpc::core {

/// A thread's mark for writers: odd while it is inside a read section. Only its thread writes it; in the
/// child of a fork, the one thread that is left writes those of the others once. Records are never freed; a thread that
/// ends leaves its own to the next one.
struct alignas(64) reader_record {
  std::atomic<std::uint64_t> sections{0};
  std::atomic<bool> taken{true};
  reader_record* next = nullptr;
};

// The initial-exec model spares the call to __tls_get_addr, a third of the cost of a read section; a few bytes fit in
// what the C library keeps free for libraries loaded late.
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

/// The readers that were inside when it was begun.
class grace_period {
 public:
  /// Called once. Terminates when there is no memory for it.
  void begin() noexcept;

  /// True when all of them have left; then the caller sees all that they did. Writers only, not thread-safe.
  [[nodiscard]] bool elapsed() noexcept;

 private:
  std::vector<std::pair<const reader_record*, std::uint64_t>> inside_;
};

}  // namespace conn_grpc::core
