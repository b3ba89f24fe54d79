// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <spdlog/logger.h>

#include <string_view>

namespace conn_grpc::runtime {

/// Call it without a lock: sinks and error handlers are the user's. They may reach back into the library, or throw; but
/// to be told of an error must not become one.
/// @param log may be null.
void log_line(spdlog::logger* log, spdlog::level::level_enum level, std::string_view line) noexcept;

}  // namespace conn_grpc::runtime
