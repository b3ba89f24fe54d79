// SPDX-License-Identifier: BSL-1.0
#include "grpc/call_into_grpc.hpp"

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>

namespace conn_grpc::detail {
namespace {

using clock = std::chrono::steady_clock;

struct calls_of_thread : boost::intrusive::list_base_hook<> {
  calls_of_thread();
  ~calls_of_thread();
  calls_of_thread(const calls_of_thread&) = delete;
  calls_of_thread& operator=(const calls_of_thread&) = delete;

  std::atomic<int> depth{0};
  std::atomic<std::uint64_t> changes{0};

  // Of `is_stuck`, with the mutex of all held.
  std::uint64_t seen = 0;
  clock::time_point seen_first{};
};

struct all_threads {
  std::mutex mutex;
  boost::intrusive::list<calls_of_thread, boost::intrusive::constant_time_size<false>> calls;
};

all_threads& all() {
  static auto* const threads = new all_threads;  // threads may outlive static objects
  return *threads;
}

calls_of_thread::calls_of_thread() {
  const std::lock_guard lock(all().mutex);
  all().calls.push_back(*this);
}

calls_of_thread::~calls_of_thread() {
  const std::lock_guard lock(all().mutex);
  all().calls.erase(all().calls.iterator_to(*this));
}

thread_local calls_of_thread of_this_thread;

void change(int depth) noexcept {
  auto& calls = of_this_thread;
  calls.depth.store(calls.depth.load(std::memory_order_relaxed) + depth, std::memory_order_relaxed);
  calls.changes.store(calls.changes.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

call_into_grpc::call_into_grpc() noexcept { change(1); }

call_into_grpc::~call_into_grpc() { change(-1); }

bool call_into_grpc::is_stuck(clock::duration patience) {
  const auto now = clock::now();
  const std::lock_guard lock(all().mutex);
  bool stuck = false;
  for (auto& thread : all().calls) {
    const auto changes = thread.changes.load(std::memory_order_relaxed);
    if (thread.depth.load(std::memory_order_relaxed) == 0 || changes != thread.seen) {
      thread.seen = changes;
      thread.seen_first = now;
    } else if (now - thread.seen_first >= patience) {
      stuck = true;
    }
  }
  return stuck;
}

}  // namespace conn_grpc::detail
