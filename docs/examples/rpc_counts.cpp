// SPDX-License-Identifier: BSL-1.0
#include "rpc_counts.hpp"

#include <spdlog/fmt/fmt.h>

namespace demo {
namespace {

std::string name_of(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::CANCELLED:
      return "CANCELLED";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    default:
      return fmt::format("status {}", static_cast<int>(code));
  }
}

}  // namespace

std::uint64_t rpc_counts::failures() const {
  auto sum = without_channel;
  for (const auto& [code, count] : failed) sum += count;
  return sum;
}

void rpc_counts::add(const grpc::Status& status) { ++(status.ok() ? ok : failed[status.error_code()]); }

rpc_counts operator-(rpc_counts now, const rpc_counts& before) {
  now.ok -= before.ok;
  now.without_channel -= before.without_channel;
  for (const auto& [code, count] : before.failed) now.failed[code] -= count;
  return now;
}

std::string rpc_counts::text() const {
  std::string text = fmt::format("{} ok", ok);
  const auto add = [&](std::uint64_t count, const std::string& what) {
    if (count > 0) text += fmt::format(", {} {}", count, what);
  };
  for (const auto& [code, count] : failed) add(count, name_of(code));
  add(without_channel, "without a channel");
  return failures() == 0 ? text + ", 0 failed" : text;
}

}  // namespace demo
