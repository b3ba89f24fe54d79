// SPDX-License-Identifier: BSL-1.0
#include "runtime/closable.hpp"

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "support/catch.hpp"

namespace {

struct object {
  std::function<void()> on_destruction = [] {};
  object() = default;
  explicit object(std::function<void()> call) : on_destruction(std::move(call)) {}
  object(object&& other) noexcept : on_destruction(std::exchange(other.on_destruction, [] {})) {}
  object& operator=(object&&) = delete;
  ~object() { on_destruction(); }
};
using closable = conn_grpc::runtime::closable<object>;
using user = closable::user;

}  // namespace

TEST_CASE("closing destroys the object, once", "[closable]") {
  int destroyed = 0;
  closable c([&] { ++destroyed; });
  CHECK(user(c));
  CHECK(destroyed == 0);
  c.close();
  CHECK(destroyed == 1);
  CHECK_FALSE(user(c));
  CHECK_FALSE(c.enter());
  c.close();
  CHECK(destroyed == 1);
}

TEST_CASE("an object that was shut can be closed later", "[closable]") {
  int destroyed = 0;
  closable c([&] { ++destroyed; });
  REQUIRE(c.enter());
  c.shut();
  CHECK(c.is_shut());
  CHECK_FALSE(user(c));
  c.leave();
  CHECK(destroyed == 0);
  c.close();
  CHECK(destroyed == 1);
}

TEST_CASE("a user that closes does not wait for itself, and the last user that leaves destroys the object",
          "[closable]") {
  int destroyed = 0;
  closable c([&] { ++destroyed; });
  {
    const user outer(c);
    {
      const user inner(c);
      c.close();
      c.close();
      CHECK_FALSE(user(c));
    }
    CHECK(destroyed == 0);
  }
  CHECK(destroyed == 1);
  c.close();
}

TEST_CASE("the object's destructor may call close()", "[closable]") {
  int destroyed = 0;
  closable* closed = nullptr;
  closable c([&] {
    closed->close();
    ++destroyed;
  });
  closed = &c;
  if (GENERATE(false, true)) {
    const user inside(c);
    c.close();
    CHECK(destroyed == 0);
  } else {
    c.close();
  }
  CHECK(destroyed == 1);
}

TEST_CASE("closing waits for users on other threads, and for a thread that closes at the same time", "[closable]") {
  std::atomic<bool> left = false;
  std::atomic<int> destroyed_after_use = 0;
  closable c([&] { destroyed_after_use += left; });
  std::promise<void> inside;
  std::thread uses([&] {
    const user in(c);
    inside.set_value();
    while (!c.is_shut()) std::this_thread::yield();
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    left = true;
  });
  inside.get_future().wait();
  int seen_by_other = 0;
  std::thread closes([&] {
    c.close();
    seen_by_other = destroyed_after_use;
  });
  c.close();
  CHECK(destroyed_after_use == 1);
  uses.join();
  closes.join();
  CHECK(seen_by_other == 1);
}

TEST_CASE("one thread enters, and another thread leaves", "[closable]") {
  int destroyed = 0;
  closable c([&] { ++destroyed; });
  REQUIRE(c.enter());
  int destroyed_before_leaving = -1;
  std::thread leaves([&] {
    while (!c.is_shut()) std::this_thread::yield();
    const user adopted(c, std::adopt_lock);
    destroyed_before_leaving = destroyed;
  });
  c.close();
  CHECK(destroyed == 1);
  leaves.join();
  CHECK(destroyed_before_leaving == 0);
}

TEST_CASE("two users that close at the same time do not wait for each other", "[closable]") {
  std::atomic<int> destroyed = 0;
  closable c([&] { ++destroyed; });
  std::atomic<int> inside = 0;
  const auto use = [&] {
    const user in(c);
    ++inside;
    while (inside < 2) std::this_thread::yield();
    c.close();
  };
  std::thread other(use);
  use();
  other.join();
  CHECK(destroyed == 1);
}
