// SPDX-License-Identifier: BSL-1.0
#include "core/waiting_line.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using names = std::vector<std::string>;

namespace {

struct line : conn_grpc::core::waiting_line<std::string, int> {
  line() {
    join(1, "a", 30);
    join(2, "b", 10);
    join(3, "c", 20);
  }
};

}  // namespace

TEST_CASE("who leaves the line has left it", "[waiting]") {
  line l;
  CHECK(l.leave(2) == names{"b"});
  CHECK(l.leave(2).empty());
  CHECK(l.leave(4).empty());
  CHECK(l.size() == 2);
  CHECK(l.next_deadline() == 20);
  CHECK(l.leave_all() == names{"a", "c"});
  CHECK(l.empty());
  CHECK_FALSE(l.next_deadline());
  CHECK(l.leave_expired(100).empty());
}

TEST_CASE("deadlines come in their own order", "[waiting]") {
  line l;
  CHECK(l.next_deadline() == 10);
  CHECK(l.leave_expired(9).empty());
  CHECK(l.leave_expired(20) == names{"b", "c"});
  CHECK(l.next_deadline() == 30);
  CHECK(l.leave_all() == names{"a"});
}

TEST_CASE("some leave, the others keep their places", "[waiting]") {
  line l;
  CHECK(l.leave_if([](const auto& name) { return name != "b"; }) == names{"a", "c"});
  l.join(4, "d", 5);
  CHECK(l.next_deadline() == 5);
  CHECK(l.leave_all() == names{"b", "d"});
}
