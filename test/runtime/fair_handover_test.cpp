// SPDX-License-Identifier: BSL-1.0
// Which waiter is completed, and when.
#include "runtime/fair_handover.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

using conn_grpc::error_code;
using conn_grpc::runtime::handover_limits;

namespace {

struct waiter {
  std::function<void()> completed;
  void complete(error_code) const { completed(); }
};

struct policy {
  using answer_type = error_code;
  static constexpr bool all_alike = true;
  const bool* open;

  std::optional<error_code> answer(const waiter&) const { return *open ? std::optional(error_code()) : std::nullopt; }
  bool has_answer(const waiter&) const { return *open; }
};

/// A fair_handover whose waiters have names, and which has answers once it is open.
struct fixture {
  using handover_type = conn_grpc::runtime::fair_handover<waiter, policy, std::chrono::steady_clock::time_point>;

  explicit fixture(handover_limits limits = {}) : handover({&open}, [this] { ++rests; }, limits) {}

  waiter named(const char* name) {
    return {[this, name] { completed.emplace_back(name); }};
  }
  /// False when the waiter was answered at once.
  bool waits(std::uint64_t ticket, waiter joining) { return !handover.join(ticket, std::move(joining), {}).answer; }

  void serve() {
    open = true;
    handover.serve();
  }

  bool open = false;
  std::size_t rests = 0;
  std::vector<std::string> completed;
  handover_type handover;
};

}  // namespace

TEST_CASE("a newcomer that comes while waiters are being completed is completed after them", "[waiting]") {
  fixture f;
  f.waits(1, {[&] {
            f.completed.emplace_back("first");
            CHECK(f.handover.must_queue());
            CHECK(f.waits(3, f.named("newcomer")));
          }});
  f.waits(2, f.named("second"));
  f.serve();
  CHECK(f.completed == std::vector<std::string>{"first", "second", "newcomer"});
  CHECK_FALSE(f.handover.must_queue());
  CHECK(f.rests == 0);
}

TEST_CASE("newcomers that keep coming do not occupy the completing thread for ever", "[waiting]") {
  fixture f({.newcomers = 3});
  std::uint64_t ticket = 2;
  int queued = 0;
  std::function<void()> come_back = [&] {
    REQUIRE(queued < 10);
    if (f.waits(ticket++, {come_back})) ++queued;
  };
  f.waits(1, {come_back});
  f.serve();
  CHECK(queued == 3);
  CHECK_FALSE(f.handover.must_queue());
}

TEST_CASE("no newcomer overtakes a waiter, however many newcomers come", "[waiting]") {
  fixture f({.newcomers = 0});
  int queued = 0;
  f.waits(1, {[&] {
            for (std::uint64_t i = 0; i < 10; ++i)
              if (f.waits(3 + i, {[] {}})) ++queued;
          }});
  f.waits(2, {[] {}});
  f.serve();
  CHECK(queued == 10);
}

TEST_CASE("a waiter that is cancelled while newcomers are completed is completed before later newcomers", "[waiting]") {
  fixture f;
  const waiter newcomer{[&] {
    f.completed.emplace_back("newcomer");
    f.open = false;
    CHECK(f.waits(3, f.named("waited")));
    f.handover.cancel(3);
    f.open = true;
    CHECK(f.handover.must_queue());
    CHECK(f.waits(4, f.named("later")));
  }};
  f.waits(1, {[&] { f.waits(2, newcomer); }});
  f.serve();
  CHECK(f.completed == std::vector<std::string>{"newcomer", "waited", "later"});
}

TEST_CASE("a thread completes a slice, and leaves the rest", "[waiting]") {
  fixture f({.slice = 2});
  for (std::uint64_t i = 0; i < 5; ++i) f.waits(i, f.named("waited"));
  f.serve();
  CHECK(f.completed.size() == 2);
  CHECK(f.rests == 1);
  CHECK(f.handover.delivering());
  CHECK(f.waits(7, f.named("newcomer")));
  CHECK(f.handover.deliver_slice());
  CHECK(f.completed.size() == 4);
  CHECK_FALSE(f.handover.deliver_slice());
  CHECK(f.completed.size() == 6);
  CHECK(f.completed.back() == "newcomer");
  CHECK(f.rests == 1);
  CHECK_FALSE(f.handover.delivering());
  CHECK_FALSE(f.handover.must_queue());
}

TEST_CASE("a rest is left once: threads that complete a slice of it do not leave it again", "[waiting]") {
  fixture f({.slice = 2});
  for (std::uint64_t i = 0; i < 9; ++i) f.waits(i, f.named("waited"));
  f.serve();
  f.handover.cancel(8);  // completes this one and another
  CHECK(f.completed.size() == 4);
  f.handover.serve();
  CHECK(f.completed.size() == 6);
  CHECK(f.rests == 1);
  CHECK(f.handover.deliver_slice());
  CHECK_FALSE(f.handover.deliver_slice());
  CHECK(f.completed.size() == 9);
}

TEST_CASE("a rest is left again after its owner has found nothing to deliver", "[waiting]") {
  fixture f({.slice = 2});
  for (std::uint64_t i = 0; i < 4; ++i) f.waits(i, f.named("waited"));
  f.waits(4, {[&] { CHECK_FALSE(f.handover.deliver_slice()); }});  // by the thread that completes this one
  for (std::uint64_t i = 5; i < 9; ++i) f.waits(i, f.named("waited"));
  f.serve();
  CHECK(f.handover.deliver_slice());
  CHECK(f.rests == 1);
  f.handover.serve();
  CHECK(f.rests == 2);
  while (f.handover.deliver_slice()) continue;
  CHECK(f.completed.size() == 8);
}

TEST_CASE("the number of newcomers between two slices is limited, too", "[waiting]") {
  fixture f({.newcomers = 3, .slice = 2});
  for (std::uint64_t i = 0; i < 5; ++i) f.waits(i, f.named("waited"));
  f.serve();
  std::uint64_t ticket = 5;
  while (f.waits(ticket, f.named("newcomer"))) {
    ++ticket;
    REQUIRE(ticket < 100);
    (void)f.handover.deliver_slice();
  }
  CHECK(ticket >= 8);
  CHECK(f.completed.size() >= 5);
}

TEST_CASE("the limit of waiters does not count newcomers that have an answer", "[waiting]") {
  fixture f({.waiters = 2, .slice = 1});
  CHECK(f.waits(1, f.named("first")));
  CHECK(f.waits(2, f.named("second")));
  CHECK(f.handover.join(3, f.named("third"), {}).answer == conn_grpc::errc::too_many_waiters);
  f.serve();
  CHECK(f.waits(4, f.named("newcomer")));
  CHECK(f.waits(5, f.named("newcomer")));
  while (f.handover.deliver_slice()) continue;
  CHECK(f.completed.size() == 4);
}

TEST_CASE("an answer that exists before serve() is for the waiters in the queue first", "[waiting]") {
  fixture f;
  f.waits(1, {[&] {
            f.completed.emplace_back("cancelled");
            f.open = true;  // the publisher has not called serve() yet
            f.waits(3, f.named("newcomer"));
          }});
  f.waits(2, f.named("waited"));
  f.handover.cancel(1);
  CHECK(f.completed == std::vector<std::string>{"cancelled", "waited", "newcomer"});
}
