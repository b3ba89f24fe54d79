// SPDX-License-Identifier: BSL-1.0
#include "core/wait_queue.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using names = std::vector<std::string>;

namespace {

struct line : conn_grpc::core::wait_queue<std::string, int> {
  line() {
    join(1, "a", 30);
    join(2, "b", 10);
    join(3, "c", 20);
  }

  names leave_all() {
    names all;
    for (auto at = from(0); at != end();) all.push_back(leave_at(at));
    return all;
  }
};

}  // namespace

TEST_CASE("a waiter that leaves the line has left it", "[waiting]") {
  line l;
  CHECK(l.leave(2) == "b");
  CHECK_FALSE(l.leave(2));
  CHECK_FALSE(l.leave(4));
  CHECK(l.size() == 2);
  CHECK(l.last() == 3);
  CHECK(l.next_deadline() == 20);
  CHECK(l.leave_all() == names{"a", "c"});
  CHECK(l.empty());
  CHECK_FALSE(l.next_deadline());
  CHECK_FALSE(l.leave_expired(100));
}

TEST_CASE("deadlines come in their own order", "[waiting]") {
  line l;
  CHECK(l.next_deadline() == 10);
  CHECK_FALSE(l.leave_expired(9));
  CHECK(l.leave_expired(20) == "b");
  CHECK(l.leave_expired(20) == "c");
  CHECK_FALSE(l.leave_expired(20));
  CHECK(l.next_deadline() == 30);
  CHECK(l.leave_all() == names{"a"});
}

TEST_CASE("some leave, the others keep their places", "[waiting]") {
  line l;
  for (auto at = l.from(1); at != l.end();)
    if (line::waiter_at(at) == "b")
      ++at;
    else
      (void)l.leave_at(at);
  l.join(4, "d", 5);
  CHECK(l.next_deadline() == 5);
  CHECK(line::waiter_at(l.from(3)) == "d");
  CHECK(l.leave_all() == names{"b", "d"});
}
