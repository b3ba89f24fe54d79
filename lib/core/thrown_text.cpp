// SPDX-License-Identifier: BSL-1.0
#include "core/thrown_text.hpp"

#include <exception>

namespace conn_grpc::core {

std::string thrown_text() {
  try {
    throw;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace conn_grpc::core
