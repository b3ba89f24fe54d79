// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <spdlog/logger.h>

#include <string_view>

namespace conn_grpc::runtime {

/// Call it without a lock: sinks and error handlers are the user's, and may call back
/// into the library. What they throw is dropped, because a report of an error must not
/// become an error.
/// @param log may be null.
void log_line(spdlog::logger* log, spdlog::level::level_enum level, std::string_view line) noexcept;

}  // namespace conn_grpc::runtime
