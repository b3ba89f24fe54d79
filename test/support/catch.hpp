// SPDX-License-Identifier: BSL-1.0
// Catch2 as Debian 12 (2.13) and Debian 13 (3.x) have it.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <string>

namespace conn_grpc::test {

inline auto has_text(const std::string& text) {
#if __has_include(<catch2/catch_all.hpp>)
  return Catch::Matchers::ContainsSubstring(text);
#else
  return Catch::Matchers::Contains(text);
#endif
}

}  // namespace conn_grpc::test
