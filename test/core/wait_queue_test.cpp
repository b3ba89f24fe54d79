// SPDX-License-Identifier: BSL-1.0
#include "core/wait_queue.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using names = std::vector<std::string>;

namespace {

struct queue : conn_grpc::core::wait_queue<std::string, int> {
  queue() {
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

TEST_CASE("a waiter that has left the queue cannot leave it again", "[waiting]") {
  queue q;
  CHECK(q.leave(2) == "b");
  CHECK_FALSE(q.leave(2));
  CHECK_FALSE(q.leave(4));
  CHECK(q.size() == 2);
  CHECK(q.last() == 3);
  CHECK(q.next_deadline() == 20);
  CHECK(q.leave_all() == names{"a", "c"});
  CHECK(q.empty());
  CHECK_FALSE(q.next_deadline());
  CHECK_FALSE(q.leave_expired(100));
}

TEST_CASE("waiters expire in the order of their deadlines", "[waiting]") {
  queue q;
  CHECK(q.next_deadline() == 10);
  CHECK_FALSE(q.leave_expired(9));
  CHECK(q.leave_expired(20) == "b");
  CHECK(q.leave_expired(20) == "c");
  CHECK_FALSE(q.leave_expired(20));
  CHECK(q.next_deadline() == 30);
  CHECK(q.leave_all() == names{"a"});
}

TEST_CASE("the other waiters keep their places when some leave", "[waiting]") {
  queue q;
  for (auto at = q.from(1); at != q.end();)
    if (queue::waiter_at(at) == "b")
      ++at;
    else
      (void)q.leave_at(at);
  q.join(4, "d", 5);
  CHECK(q.next_deadline() == 5);
  CHECK(queue::waiter_at(q.from(3)) == "d");
  CHECK(q.leave_all() == names{"b", "d"});
}
