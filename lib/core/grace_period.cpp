// SPDX-License-Identifier: BSL-1.0
#include "core/grace_period.hpp"

#include <pthread.h>

namespace conn_grpc::core {
namespace {

constinit std::atomic<reader_record*> all_records{nullptr};

// Gives the record back when the thread ends. A thread may read after that, in the
// destructor of another thread_local. It then takes a record that is never given back.
struct lease {
  lease() = default;
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;
  ~lease() {
    this_thread_record = nullptr;
    if (record) record->taken.store(false, std::memory_order_release);
  }

  reader_record* record = nullptr;
};

constinit thread_local bool lease_taken = false;
thread_local lease this_thread_lease;

reader_record& take_record() {
  for (reader_record* r = all_records.load(std::memory_order_acquire); r; r = r->next) {
    bool taken = false;
    if (r->taken.compare_exchange_strong(taken, true, std::memory_order_acquire)) return *r;
  }
  auto* fresh = new reader_record;
  fresh->next = all_records.load(std::memory_order_relaxed);
  while (!all_records.compare_exchange_weak(fresh->next, fresh, std::memory_order_release)) {
  }
  return *fresh;
}

// Only the thread that called fork exists in the child. Another thread may have been
// inside a section, and would block every reclamation for ever. So the child ends the
// sections of those threads, and gives their records back.
void leave_for_threads_that_are_gone() {
  for (reader_record* r = all_records.load(std::memory_order_acquire); r; r = r->next) {
    if (r == this_thread_record) continue;
    if (const auto sections = r->sections.load(std::memory_order_relaxed); sections % 2 == 1)
      r->sections.store(sections + 1, std::memory_order_release);
    r->taken.store(false, std::memory_order_release);
  }
}

const int fork_handler_registered [[maybe_unused]] =
    ::pthread_atfork(nullptr, nullptr, leave_for_threads_that_are_gone);

}  // namespace

constinit thread_local reader_record* this_thread_record = nullptr;

reader_record& register_this_thread() {
  this_thread_record = &take_record();
  if (!lease_taken) {
    lease_taken = true;
    this_thread_lease.record = this_thread_record;
  }
  return *this_thread_record;
}

void grace_period::begin() noexcept {
  for (const reader_record* r = all_records.load(std::memory_order_acquire); r; r = r->next) {
    const auto sections = r->sections.load(std::memory_order_acquire);
    if (sections % 2 == 1) inside_.emplace_back(r, sections);
  }
}

bool grace_period::elapsed() noexcept {
  std::erase_if(inside_, [](const auto& reader) {
    return reader.first->sections.load(std::memory_order_acquire) != reader.second;
  });
  return inside_.empty();
}

}  // namespace conn_grpc::core
