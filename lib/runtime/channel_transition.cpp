// SPDX-License-Identifier: BSL-1.0
#include "runtime/channel_transition.hpp"

#include <spdlog/fmt/fmt.h>

namespace conn_grpc::runtime {
namespace {

std::string in_ms(channel_transition::duration d) {
  const double ms = std::chrono::duration<double, std::milli>(d).count();
  return fmt::format("{:.{}f} ms", ms, ms < 10 ? 1 : 0);
}

}  // namespace

std::string describe(const channel_transition& made) {
  using enum channel_transition::step;
  switch (made.what) {
    case connecting:
      return fmt::format("attempt {}{}{}", made.attempt,
                         made.reason.empty() ? "" : " to replace the connection: ", made.reason);
    case still_connecting:
      return fmt::format("attempt {} goes on", made.attempt);
    case connect_failed:
      return fmt::format("attempt {} failed after {}: {}", made.attempt, in_ms(made.took), made.reason);
    case connected:
      return fmt::format("attempt {} took {}", made.attempt, in_ms(made.took));
    case unhealthy:
      return std::string(made.reason);
    case healthy:
      return "serving again";
    case lost:
      return fmt::format("connection lost after {}: {}", in_ms(made.took), made.reason);
    case replaced:
      return fmt::format("connection replaced after {}: {}", in_ms(made.took), made.reason);
    case released:
      return fmt::format("released after {}", in_ms(made.took));
    case backing_off:
      return fmt::format("next attempt in {} ms", made.delay.count());
    case user_code_failed:
      return fmt::format("{}; {}", made.reason, made.consequence);
    case disconnected:
    case stopped:
      return {};
  }
  return {};
}

}  // namespace conn_grpc::runtime
