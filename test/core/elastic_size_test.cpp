// SPDX-License-Identifier: BSL-1.0
// How many channels a load needs: pure, on recorded load curves.
#include "core/elastic_size.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace {

using time_point = std::chrono::steady_clock::time_point;
using elastic_size = conn_grpc::core::elastic_size<time_point>;

/// The sizes while the load has these values, one for each second.
std::vector<std::size_t> sizes(const std::vector<std::size_t>& loads, std::size_t most = 10) {
  time_point now{};
  elastic_size size(1, most, now);
  std::vector<std::size_t> seen;
  for (const auto load : loads) {
    seen.push_back(size.update(now, load, 100));
    now += 1s;
  }
  return seen;
}

std::vector<std::size_t> repeated(std::size_t seconds, const std::vector<std::size_t>& pattern) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < seconds; ++i) all.push_back(pattern[i % pattern.size()]);
  return all;
}

}  // namespace

TEST_CASE("the size grows at once, to what the load needs, within its limits", "[elastic]") {
  CHECK(sizes({0, 100, 101, 450, 5'000}) == std::vector<std::size_t>{1, 1, 2, 5, 10});
}

TEST_CASE("the size shrinks after a calm, with a fifth to spare", "[elastic]") {
  auto loads = std::vector<std::size_t>{1'000};
  loads.insert(loads.end(), 30, 200);
  const auto seen = sizes(loads);
  CHECK(seen[9] == 10);
  CHECK(seen[10] == 10);  // the peak was part of this period
  CHECK(seen[20] == 3);
  CHECK(seen.back() == 3);
}

TEST_CASE("a load that comes and goes changes nothing", "[elastic]") {
  const auto seen = sizes(repeated(100, {900, 10, 10, 10, 900, 300}));
  CHECK(seen.front() == 9);
  CHECK(std::count(seen.begin(), seen.end(), 9) == 100);
}

TEST_CASE("a load at the edge of a size does not make it oscillate", "[elastic]") {
  const auto seen = sizes(repeated(200, {200, 201, 199}));
  int changes = 0;
  for (std::size_t i = 1; i < seen.size(); ++i) changes += seen[i] != seen[i - 1] ? 1 : 0;
  CHECK(changes == 1);
}
