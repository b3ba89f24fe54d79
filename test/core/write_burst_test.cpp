// SPDX-License-Identifier: BSL-1.0
#include "core/write_burst.hpp"

#include "support/catch.hpp"

using conn_grpc::core::write_burst;
using verdict = write_burst::verdict;

namespace {

const write_burst::clock::time_point start;

write_burst opened() {
  write_burst burst;
  burst.add();
  burst.open();
  return burst;
}

}  // namespace

TEST_CASE("a burst keeps messages as long as new ones come", "[write_burst]") {
  auto burst = opened();
  CHECK(burst.is_open());
  burst.add();
  CHECK(burst.look(true, start) == verdict::look_again);
  burst.add();
  CHECK(burst.look(true, start) == verdict::look_again);
  CHECK(burst.look(true, start) == verdict::write);
}

TEST_CASE("a burst of one message is over at the first look", "[write_burst]") {
  auto burst = opened();
  CHECK(burst.look(false, start) == verdict::over);
  burst.close();
  CHECK_FALSE(burst.is_open());
}

TEST_CASE("a burst keeps no message for long", "[write_burst]") {
  auto burst = opened();
  const auto look = [&](write_burst::clock::duration after) {
    burst.add();
    return burst.look(true, start + after);
  };
  CHECK(look({}) == verdict::look_again);
  CHECK(look(write_burst::long_enough / 2) == verdict::look_again);
  CHECK(look(write_burst::long_enough) == verdict::write);
  burst.written();
  // The time of the next messages begins with the next look.
  CHECK(look(write_burst::long_enough * 2) == verdict::look_again);
  CHECK(look(write_burst::long_enough * 3) == verdict::write);
}

TEST_CASE("a burst goes on while messages come that need not be kept", "[write_burst]") {
  auto burst = opened();
  burst.add();
  CHECK(burst.look(false, start) == verdict::look_again);
  CHECK(burst.look(false, start) == verdict::over);
}
