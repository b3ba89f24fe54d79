// SPDX-License-Identifier: BSL-1.0
#include "grpc/call_into_grpc.hpp"

#include "grpc/callback_loop.hpp"

#include <pthread.h>
#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <ctime>
#include <mutex>

namespace conn_grpc::detail {
namespace {

using clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

struct calls_of_thread : boost::intrusive::list_base_hook<> {
  calls_of_thread();
  ~calls_of_thread();
  calls_of_thread(const calls_of_thread&) = delete;
  calls_of_thread& operator=(const calls_of_thread&) = delete;

  [[nodiscard]] nanoseconds cpu_time() const;

  clockid_t cpu_clock{};
  std::atomic<int> depth{0};
  std::atomic<bool> may_call_user{false};  // the innermost call
  std::atomic<std::uint64_t> changes{0};

  // Of `is_stuck`, with the mutex of all held.
  std::uint64_t seen = 0;
  clock::time_point seen_first{};
  nanoseconds cpu_time_then{};
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
  (void)::pthread_getcpuclockid(::pthread_self(), &cpu_clock);
  const std::lock_guard lock(all().mutex);
  all().calls.push_back(*this);
}

calls_of_thread::~calls_of_thread() {
  const std::lock_guard lock(all().mutex);
  all().calls.erase(all().calls.iterator_to(*this));
}

nanoseconds calls_of_thread::cpu_time() const {
  timespec used{};
  (void)::clock_gettime(cpu_clock, &used);
  return std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
}

thread_local calls_of_thread of_this_thread;

// A call that begins stores its depth, and then reads this. The stand-in thread stores
// this, and then reads the depths. Sequential consistency: one of the two sees the other.
std::atomic<bool> reports_next{false};

void change(int depth) noexcept {
  auto& calls = of_this_thread;
  calls.depth.store(calls.depth.load(std::memory_order_relaxed) + depth);
  calls.changes.store(calls.changes.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

call_into_grpc::call_into_grpc(may_call its_kind) noexcept
    : outer_may_call_user_(of_this_thread.may_call_user.load(std::memory_order_relaxed)) {
  of_this_thread.may_call_user.store(its_kind == may_call::user, std::memory_order_relaxed);
  change(1);
  if (reports_next.load() && reports_next.exchange(false)) callback_loop::call_has_begun();
}

call_into_grpc::~call_into_grpc() {
  of_this_thread.may_call_user.store(outer_may_call_user_, std::memory_order_relaxed);
  change(-1);
}

bool call_into_grpc::report_next() noexcept {
  reports_next.store(true);
  const std::lock_guard lock(all().mutex);
  return std::ranges::all_of(all().calls, [](const calls_of_thread& thread) { return thread.depth.load() == 0; });
}

bool call_into_grpc::is_stuck(nanoseconds limit) {
  const auto now = clock::now();
  const std::lock_guard lock(all().mutex);
  bool stuck = false;
  for (auto& thread : all().calls) {
    if (thread.depth.load(std::memory_order_relaxed) == 0) continue;
    const auto changes = thread.changes.load(std::memory_order_relaxed);
    if (changes != thread.seen) {
      thread.seen = changes;
      thread.seen_first = now;
      thread.cpu_time_then = thread.cpu_time();
    } else {
      const bool may_block = thread.may_call_user.load(std::memory_order_relaxed);
      const bool works = thread.cpu_time() - thread.cpu_time_then >= limit / 2;
      stuck = stuck || works || (!may_block && now - thread.seen_first >= limit);
    }
  }
  return stuck;
}

}  // namespace conn_grpc::detail
