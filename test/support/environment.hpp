// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace conn_grpc::test {

/// The path of the greeter_server that Meson has built.
inline std::string greeter_server() {
  const char* path = std::getenv("GREETER_SERVER");
  if (!path) throw std::runtime_error("GREETER_SERVER is not set; run the tests with `meson test`");
  return path;
}

/// True when each test runs inside of an event_engine_scope (test/engine/in_scope.cpp).
inline bool is_in_scope() { return std::getenv("CONN_GRPC_TEST_SCOPE") != nullptr; }

}  // namespace conn_grpc::test
