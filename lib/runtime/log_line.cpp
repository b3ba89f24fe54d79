// SPDX-License-Identifier: BSL-1.0
#include "runtime/log_line.hpp"

namespace conn_grpc::runtime {

void log_line(spdlog::logger* log, spdlog::level::level_enum level, std::string_view line) noexcept {
  if (!log) return;
  try {
    log->log(level, line);
  } catch (...) {  // the header says why
  }
}

}  // namespace conn_grpc::runtime
