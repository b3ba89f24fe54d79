// SPDX-License-Identifier: BSL-1.0
#include "core/write_burst.hpp"

#include "support/catch.hpp"

using conn_grpc::core::write_burst;

namespace {

const write_burst::clock::time_point start;

write_burst opened() {
  write_burst burst;
  burst.add();
  burst.open();
  return burst;
}

}  // namespace

TEST_CASE("a burst holds messages as long as new ones come", "[write_burst]") {
  auto burst = opened();
  CHECK(burst.is_open());
  burst.add();
  CHECK(burst.holds_on(start));
  burst.add();
  CHECK(burst.holds_on(start));
  CHECK_FALSE(burst.holds_on(start));
}

TEST_CASE("the message that opens a burst is not held", "[write_burst]") {
  auto burst = opened();
  CHECK_FALSE(burst.holds_nothing());
}

TEST_CASE("a burst holds no message for long", "[write_burst]") {
  auto burst = opened();
  const auto look = [&](write_burst::clock::duration after) {
    burst.add();
    return burst.holds_on(start + after);
  };
  CHECK(look({}));
  CHECK(look(write_burst::longest_hold / 2));
  CHECK_FALSE(look(write_burst::longest_hold));
  // They have been written. The time of those that follow begins anew.
  (void)burst.holds_nothing();
  CHECK(look(write_burst::longest_hold * 2));
}

TEST_CASE("a burst goes on while messages come that need not be held", "[write_burst]") {
  auto burst = opened();
  burst.add();
  CHECK(burst.holds_nothing());
  CHECK_FALSE(burst.holds_nothing());
  burst.close();
  CHECK_FALSE(burst.is_open());
}
