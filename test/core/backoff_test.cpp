// SPDX-License-Identifier: BSL-1.0
#include <boost/system/system_error.hpp>
#include <conn_grpc/backoff.hpp>
#include <conn_grpc/error.hpp>

#include <algorithm>
#include <array>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using conn_grpc::backoff_range;
using conn_grpc::exponential_backoff;

TEST_CASE("a delay never leaves the range, for ranges of any width", "[backoff]") {
  const backoff_range range =
      GENERATE(backoff_range{1'000ms, 30'000ms}, backoff_range{1'000ms, 2'000ms}, backoff_range{1ms, 1ms},
               backoff_range{1ms, 2ms}, backoff_range{7ms, 10ms}, backoff_range{1ms, std::chrono::milliseconds::max()});
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto backoff = exponential_backoff(range, seed);
    for (int step = 0; step < 50; ++step) {
      const auto delay = backoff->next();
      REQUIRE(delay >= range.min);
      REQUIRE(delay <= range.max);
    }
  }
}

TEST_CASE("the medians are those of ConnGRPC", "[backoff]") {
  constexpr int runs = 20'000;
  constexpr std::array expected{2'000., 3'713., 7'143., 12'995., 17'704., 19'493.};
  std::array<std::vector<double>, expected.size()> delays;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    const auto backoff = exponential_backoff({1'000ms, 30'000ms}, seed);
    for (auto& step : delays) step.push_back(static_cast<double>(backoff->next().count()));
  }
  for (std::size_t step = 0; step < expected.size(); ++step) {
    const auto middle = delays[step].begin() + runs / 2;
    std::nth_element(delays[step].begin(), middle, delays[step].end());
    CAPTURE(step, *middle);
    CHECK(std::abs(*middle / expected[step] - 1) < 0.03);  // fixed seeds: the same figures each time
  }
}

TEST_CASE("reset returns to the beginning", "[backoff]") {
  const auto backoff = exponential_backoff({1'000ms, 30'000ms}, 1);
  for (int step = 0; step < 20; ++step) {
    (void)backoff->next();
    (void)backoff->next();
    backoff->reset();
    CHECK(backoff->next() <= 3'000ms);
    backoff->reset();
  }
}

TEST_CASE("equal seeds give equal delays, calls without a seed give different delays", "[backoff]") {
  const auto a = exponential_backoff({1ms, 1'000'000ms}, 7);
  const auto b = exponential_backoff({1ms, 1'000'000ms}, 7);
  const auto c = exponential_backoff({1'000ms, 1'000'000ms});
  const auto d = exponential_backoff({1'000ms, 1'000'000ms});
  bool differ = false;
  for (int step = 0; step < 20; ++step) {
    CHECK(a->next() == b->next());
    differ = differ || c->next() != d->next();
  }
  CHECK(differ);
}

TEST_CASE("an invalid range is rejected with the name of the field", "[backoff]") {
  const auto [range, text] = GENERATE(table<backoff_range, std::string>({
      {{0ms, 10ms}, "backoff.min: must be above zero, is 0 ms"},
      {{-1ms, 10ms}, "backoff.min: must be above zero, is -1 ms"},
      {{1ms, 0ms}, "backoff.max: must be above zero, is 0 ms"},
      {{11ms, 10ms}, "backoff: min must not be above max, but 11 ms > 10 ms"},
  }));
  try {
    (void)exponential_backoff(range);
    FAIL("accepted");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    CHECK(std::string(e.what()).starts_with(text));
  }
}
