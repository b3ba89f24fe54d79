// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// The error of user code: which function threw, and what it threw.
class user_code_error : public std::runtime_error {
 public:
  /// Call it in a catch block.
  explicit user_code_error(std::string_view where)
      : runtime_error(std::string(where) + " threw: " + core::current_exception_text()) {}
};

/// Calls a function of the user's.
template <class Function, class... Args>
decltype(auto) call_user(std::string_view where, Function&& function, Args&&... args) {
  try {
    return std::invoke(std::forward<Function>(function), std::forward<Args>(args)...);
  } catch (...) {
    throw user_code_error(where);
  }
}

}  // namespace conn_grpc::runtime
