// SPDX-License-Identifier: BSL-1.0
// Runs out of memory at each allocation in turn. The constructor is left out, because
// Asio's own strand does not survive that. A program of its own, because it replaces
// `operator new`.
#include <cstddef>
#include <cstdlib>
#include <new>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"
#include "support/test_members.hpp"

using namespace conn_grpc::test;

namespace {

constexpr int never = -1;
constinit thread_local int allocations_left = never;

/// The allocation of this thread after the next `successes` throws, once.
class exhaustion {
 public:
  explicit exhaustion(int successes) { allocations_left = successes; }
  ~exhaustion() { allocations_left = never; }
  exhaustion(const exhaustion&) = delete;
  exhaustion& operator=(const exhaustion&) = delete;
};

void* allocate(std::size_t size) {
  if (allocations_left != never && allocations_left-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// All functions that may be used together. AddressSanitizer would provide each one that
// is missing.
void* operator new(std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

TEST_CASE("a set of members stays as it was when there is no memory", "[exhaustion]") {
  int failures = 0;
  for (int successes = 0;; ++successes) {
    test_member_set<int> open;
    open.open();
    test_member_set<int> not_open;
    const auto member = std::make_shared<int>(1);
    int inserted = 0;
    try {
      const exhaustion shortage(successes);
      insert(open, 0, member);
      ++inserted;
      not_open.open();
      break;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
    CHECK(open.size() == static_cast<std::size_t>(inserted));
    CHECK(not_open.pick().error() == conn_grpc::errc::not_started);
  }
  CHECK(failures > 3);
}

TEST_CASE("a pool that the handler of its own async_run owns is released when there is no memory", "[exhaustion]") {
  for (int successes = 0;; ++successes) {
    CAPTURE(successes);
    pool_fixture f;
    f.make_pool();
    const std::weak_ptr alive = f.pool;
    struct owner {
      std::shared_ptr<pool_fixture::pool_type> pool;
      ~owner() {
        if (pool) pool->stop();
      }
    };
    auto owned = std::make_shared<owner>();
    owned->pool = std::move(f.pool);
    auto& pool = *owned->pool;
    try {
      const exhaustion shortage(successes);
      pool.async_run([owned = std::move(owned)](conn_grpc::error_code) {});
    } catch (const std::bad_alloc&) {
      owned.reset();
      f.drain();
      CHECK(alive.expired());
      continue;
    }
    alive.lock()->stop();
    f.drain();
    CHECK(alive.expired());
    break;
  }
}

TEST_CASE("async_run leaves the pool idle, or stopped, when there is no memory", "[exhaustion]") {
  int idle = 0;
  int stopped = 0;
  for (int successes = 0;; ++successes) {
    CAPTURE(successes);
    pool_fixture f;
    f.make_pool();
    try {
      const exhaustion shortage(successes);
      f.pool->async_run([](conn_grpc::error_code) {});
      break;
    } catch (const std::bad_alloc&) {
    }

    pool_fixture namesake(1, f.io);
    namesake.run();
    CHECK_FALSE(namesake.ended);
    namesake.pool->stop();
    namesake.drain();
    CHECK(namesake.ended == conn_grpc::error_code());

    f.run();
    if (f.ended) {
      ++stopped;
      CHECK(f.ended == conn_grpc::errc::stopped);
      CHECK(f.next().error() == conn_grpc::errc::stopped);
    } else {
      ++idle;
      f.connector.last().succeed();
      f.drain();
      CHECK(f.next_text() == "channel of attempt 1");
    }
  }
  CHECK(idle > 0);
  CHECK(stopped > 0);
}
