// SPDX-License-Identifier: BSL-1.0
#include "core/restart_budget.hpp"

#include <chrono>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using time_point = std::chrono::steady_clock::time_point;

TEST_CASE("three restarts within five seconds are allowed, the fourth is not", "[restart_budget]") {
  conn_grpc::core::restart_budget<time_point> budget(3, 5s);
  const time_point start{};
  CHECK(budget.spend(start));
  CHECK(budget.spend(start + 1s));
  CHECK(budget.spend(start + 4999ms));
  CHECK_FALSE(budget.spend(start + 4999ms));
  CHECK(budget.spend(start + 5s));  // the first one is five seconds ago
  CHECK_FALSE(budget.spend(start + 5s));
  CHECK(budget.spend(start + 6s));
  CHECK(budget.spent() == 3);
}
