// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <string>

namespace conn_grpc::core {

/// The text of the exception. Call it in a catch block.
[[nodiscard]] std::string current_exception_text();

/// @param thrown not null.
[[nodiscard]] std::string exception_text(const std::exception_ptr& thrown);

}  // namespace conn_grpc::core
