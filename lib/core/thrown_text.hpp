// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

namespace conn_grpc::core {

/// In a catch block: what the exception says.
[[nodiscard]] std::string thrown_text();

}  // namespace conn_grpc::core
