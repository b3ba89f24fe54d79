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

}  // namespace conn_grpc::test
