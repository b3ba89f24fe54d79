// SPDX-License-Identifier: BSL-1.0
#include "core/jitter.hpp"

#include <set>

#include "support/catch.hpp"

using namespace std::chrono_literals;

TEST_CASE("a duration with jitter is within a tenth, and not always the same", "[jitter]") {
  std::set<std::chrono::nanoseconds> seen;
  for (int i = 0; i < 1'000; ++i) {
    const auto some = conn_grpc::core::with_jitter(1s);
    CHECK((some >= 900ms && some <= 1'100ms));
    seen.insert(some);
  }
  CHECK(seen.size() > 900);
  CHECK(*seen.begin() < 910ms);
  CHECK(*seen.rbegin() > 1'090ms);
}

TEST_CASE("a duration with jitter does not overflow", "[jitter]") {
  constexpr auto longest = (std::chrono::nanoseconds::max)();
  for (int i = 0; i < 100; ++i) CHECK(conn_grpc::core::with_jitter(longest) >= longest / 10 * 9);
  CHECK(conn_grpc::core::with_jitter(0ns) == 0ns);
}

TEST_CASE("seeds are not repeated, and generators of similar seeds differ", "[jitter]") {
  CHECK(conn_grpc::core::unique_seed() != conn_grpc::core::unique_seed());
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    auto random = conn_grpc::core::generator_of(seed);
    first.insert(std::uniform_int_distribution<std::uint64_t>(0, 9)(random));
  }
  CHECK(first.size() == 10);
}
