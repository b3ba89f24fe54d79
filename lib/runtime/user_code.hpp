// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// Says what user code threw, and which.
class user_code_error : public std::runtime_error {
 public:
  /// In a catch block.
  explicit user_code_error(std::string_view where)
      : runtime_error(std::string(where) + " threw: " + core::current_exception_text()) {}
};

/// Calls what the user gave us.
template <class Function, class... Args>
decltype(auto) call_user(std::string_view where, Function&& function, Args&&... args) {
  try {
    return std::invoke(std::forward<Function>(function), std::forward<Args>(args)...);
  } catch (...) {
    throw user_code_error(where);
  }
}

}  // namespace conn_grpc::runtime
