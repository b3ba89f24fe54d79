// SPDX-License-Identifier: BSL-1.0
#include "core/exception_text.hpp"

#include <exception>

namespace conn_grpc::core {

std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& e) {
    const char* const text = e.what();
    return text ? text : "an exception without a text";
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

std::string exception_text(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (...) {
    return current_exception_text();
  }
}

}  // namespace conn_grpc::core
