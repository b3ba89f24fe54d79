// SPDX-License-Identifier: BSL-1.0
#include "engine/timer_queue.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using conn_grpc::engine::timer_handle;
using conn_grpc::engine::timer_queue;

namespace {

using timers_of_words = timer_queue<std::string, int>;

std::vector<std::string> due_at(timers_of_words& timers, int now) {
  std::vector<std::string> due;
  while (auto task = timers.pop_due(now)) due.push_back(*task);
  return due;
}

}  // namespace

TEST_CASE("timers become due in order", "[timers]") {
  timers_of_words timers;
  timers.add(30, "c");
  timers.add(10, "a");
  timers.add(20, "b");
  CHECK(timers.next() == 10);
  CHECK(due_at(timers, 9).empty());
  CHECK(due_at(timers, 20) == std::vector<std::string>{"a", "b"});
  CHECK(timers.next() == 30);
  CHECK(due_at(timers, 100) == std::vector<std::string>{"c"});
  CHECK_FALSE(timers.next());
}

TEST_CASE("a cancelled timer returns its task once", "[timers]") {
  timers_of_words timers;
  const auto handle = timers.add(10, "a");
  CHECK(timers.cancel(handle) == "a");
  CHECK_FALSE(timers.cancel(handle));
  CHECK_FALSE(timers.next());
  CHECK(due_at(timers, 100).empty());
}

TEST_CASE("an expired timer cannot be cancelled, nor can the timer that has its place", "[timers]") {
  timers_of_words timers;
  const auto first = timers.add(10, "a");
  CHECK(due_at(timers, 10).size() == 1);
  const auto second = timers.add(20, "b");
  CHECK(second.slot == first.slot);
  CHECK_FALSE(timers.cancel(first));
  CHECK_FALSE(timers.cancel(timer_handle{}));
  CHECK(due_at(timers, 20) == std::vector<std::string>{"b"});
}

TEST_CASE("cancelled timers take no memory for long", "[timers]") {
  timers_of_words timers;
  timers.add(1'000'000, "stays");
  for (int i = 0; i < 100'000; ++i) (void)timers.cancel(timers.add(1'000 + i, "deadline of an RPC"));
  CHECK(timers.size() == 1);
  CHECK(timers.entries() < 200);
  CHECK(timers.next() == 1'000'000);
}
