// SPDX-License-Identifier: BSL-1.0
#include "core/unqualified_name.hpp"

#include <string>

#include "support/catch.hpp"

TEST_CASE("a type's name without its namespaces and functions", "[core]") {
  const auto [qualified, name] = GENERATE(table<std::string, std::string>({
      {"demo_pool", "demo_pool"},
      {"a::b::demo_pool", "demo_pool"},
      {"(anonymous namespace)::demo_pool", "demo_pool"},
      {"main::demo_pool", "demo_pool"},
      {"f(a::b)::{lambda(c::d)#1}::operator()() const::demo_pool", "demo_pool"},
      {"ns::pool_of<a::b, c<d::e>>", "pool_of<a::b, c<d::e>>"},
      {"", ""},
  }));
  CHECK(conn_grpc::core::unqualified_name(qualified) == name);
}
