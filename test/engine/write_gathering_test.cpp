// SPDX-License-Identifier: BSL-1.0
#include "engine/write_gathering.hpp"

#include "support/catch.hpp"

using conn_grpc::engine::write_gathering;

namespace {

/// How many of 1,000 turns put their writes off, when `at_once` turns are ready at a time.
int put_off_of_1000(write_gathering& rule, int at_once) {
  int all = 0;
  for (int turn = 0; turn < 1'000;) {
    const int before = all;
    for (int i = 0; i < at_once; ++i, ++turn)
      if (rule.begin_turn()) {
        rule.put_off();
        ++all;
      }
    if (all == before) continue;
    (void)rule.begin_turn();  // the turn that flushes
    rule.flush();
  }
  return all;
}

}  // namespace

TEST_CASE("turns that come one by one write at once, but for a few tries", "[gathering]") {
  write_gathering rule;
  CHECK(put_off_of_1000(rule, 1) < 100);
}

TEST_CASE("turns that are ready together put their writes off", "[gathering]") {
  write_gathering rule;
  CHECK(put_off_of_1000(rule, 4) > 900);
}

TEST_CASE("the rule follows the load", "[gathering]") {
  write_gathering rule;
  (void)put_off_of_1000(rule, 4);
  CHECK(put_off_of_1000(rule, 1) < 100);
  CHECK(put_off_of_1000(rule, 4) > 900);
}
