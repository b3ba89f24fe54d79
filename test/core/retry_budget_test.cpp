// SPDX-License-Identifier: BSL-1.0
// How many retries the calls of a pool may have.
#include "core/retry_budget.hpp"

#include <chrono>

#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace {

using time_point = std::chrono::steady_clock::time_point;
using retry_budget = conn_grpc::core::retry_budget<time_point>;

/// How many retries there are when every call fails, and wants two.
int retries(retry_budget& budget, time_point& now, int calls, std::chrono::milliseconds between) {
  int made = 0;
  for (int i = 0; i < calls; ++i, now += between) {
    budget.count_call();
    for (int retry = 0; retry < 2; ++retry) made += budget.spend(now) ? 1 : 0;
  }
  return made;
}

}  // namespace

TEST_CASE("in an outage there are about a tenth as many retries as calls", "[retry_budget]") {
  time_point now{};
  retry_budget budget(now);
  const int made = retries(budget, now, 20'000, 1ms);
  CHECK(made >= 2'000);
  CHECK(made <= 2'000 + 10 + 5 * 20 + 1);
}

TEST_CASE("a call now and then may use all of its attempts", "[retry_budget]") {
  time_point now{};
  retry_budget budget(now);
  CHECK(retries(budget, now, 100, 1s) == 200);
}

TEST_CASE("only calls of the last 10 s allow retries", "[retry_budget]") {
  time_point now{};
  retry_budget budget(now);
  for (int i = 0; i < 100'000; ++i) budget.count_call();
  now += 1h;
  int made = 0;
  while (budget.spend(now)) ++made;
  CHECK(made <= 10 + 10 * 100'000 / 3'600 / 10 + 1);  // the calls may be of any time in that hour
}
