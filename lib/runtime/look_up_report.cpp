// SPDX-License-Identifier: BSL-1.0
#include "runtime/look_up_report.hpp"

#include "runtime/log_line.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace conn_grpc::runtime {

void look_up_report::found(const resolution& addresses, bool is_change) {
  set_failure({});
  if (!is_change) return;
  std::string text;
  for (const auto& address : addresses.addresses) text += (text.empty() ? "resolved to " : ", ") + address;
  log(text);
}

void look_up_report::failed(const resolution& why, bool keeps_addresses) {
  const std::string text = "cannot be resolved: " + why.failure;
  set_failure(options_.address + " " + text);
  log(text + (keeps_addresses ? "; the addresses stay" : "; there are no addresses yet"));
}

std::string look_up_report::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void look_up_report::set_failure(std::string text) {
  const std::lock_guard lock(mutex_);
  failure_.swap(text);
}

void look_up_report::log(const std::string& text) const {
  if (!options_.debug) return;
  log_line(options_.logger.get(), spdlog::level::debug,
           fmt::format("conn_grpc pool={} name={}: {}", options_.name.empty() ? "-" : options_.name, options_.address,
                       text));
}

}  // namespace conn_grpc::runtime
