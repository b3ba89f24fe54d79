// SPDX-License-Identifier: BSL-1.0
// Out of memory, at each allocation in turn. (Not in the constructor: Asio's own strand does not survive that.) A
// program of its own, because it replaces `operator new`.
#include <cstddef>
#include <cstdlib>
#include <new>

#include "core/rotation.hpp"
#include "support/catch.hpp"
#include "support/group_fixture.hpp"

using namespace conn_grpc::test;

namespace {

constexpr int never = -1;
constinit thread_local int allocations_left = never;

/// This thread's allocation after the next `successes` throws, once.
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

// All of those that may meet: AddressSanitizer has each of them otherwise.
void* operator new(std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

TEST_CASE("a rotation without memory is what it was", "[exhaustion]") {
  int failures = 0;
  for (int successes = 0;; ++successes) {
    conn_grpc::core::rotation<std::shared_ptr<int>> open;
    open.open();
    conn_grpc::core::rotation<std::shared_ptr<int>> not_open;
    const auto member = std::make_shared<int>(1);
    int inserted = 0;
    try {
      const exhaustion shortage(successes);
      open.insert(0, member);
      ++inserted;
      not_open.open();
      break;
    } catch (const std::bad_alloc&) {
      ++failures;
    }
    CHECK(open.size() == static_cast<std::size_t>(inserted));
    CHECK(not_open.next().error() == conn_grpc::errc::not_started);
  }
  CHECK(failures > 3);
}

TEST_CASE("a group without memory that is owned by whoever waits for its end", "[exhaustion]") {
  for (int successes = 0;; ++successes) {
    CAPTURE(successes);
    group_fixture f;
    f.make_group();
    const std::weak_ptr alive = f.group;
    struct owner {
      std::shared_ptr<group_fixture::group_type> group;
      ~owner() {
        if (group) group->stop();
      }
    };
    auto owned = std::make_shared<owner>();
    owned->group = std::move(f.group);
    auto& group = *owned->group;
    try {
      const exhaustion shortage(successes);
      group.async_run([owned = std::move(owned)](conn_grpc::error_code) {});
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

TEST_CASE("async_run without memory leaves the group idle, or stopped", "[exhaustion]") {
  int idle = 0;
  int stopped = 0;
  for (int successes = 0;; ++successes) {
    CAPTURE(successes);
    group_fixture f;
    f.make_group();
    try {
      const exhaustion shortage(successes);
      f.group->async_run([](conn_grpc::error_code) {});
      break;
    } catch (const std::bad_alloc&) {
    }

    group_fixture namesake(1, f.io);
    namesake.run();
    CHECK_FALSE(namesake.ended);
    namesake.group->stop();
    namesake.drain();
    CHECK(namesake.ended == conn_grpc::error_code());

    f.run();
    if (f.ended) {
      ++stopped;
      CHECK(f.ended == conn_grpc::errc::stopped);
      CHECK(f.group->next().error() == conn_grpc::errc::stopped);
    } else {
      ++idle;
      f.connector.last().succeed();
      f.drain();
      CHECK(**f.group->next() == "channel of attempt 1");
    }
  }
  CHECK(idle > 0);
  CHECK(stopped > 0);
}
