// SPDX-License-Identifier: BSL-1.0
#include "grpc/settings.hpp"

#include "core/checks.hpp"
#include "core/target.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace conn_grpc::detail {

std::chrono::milliseconds attempt_limit(std::chrono::milliseconds connect_timeout) {
  constexpr int most_addresses = 8;
  constexpr auto longest = (std::chrono::milliseconds::max)();
  return connect_timeout < longest / (1 + most_addresses) ? connect_timeout * (1 + most_addresses) : longest;
}

std::shared_ptr<const runtime::channel_settings> checked_settings(const channel_options& options,
                                                                  const std::string& field,
                                                                  const std::string& pool_name) {
  core::check_not_empty(field + "address", options.address);
  if (!options.create_channel) core::check_target(field + "address", options.address);
  core::check_range(field + "backoff", options.backoff);
  core::check_positive(field + "connect_timeout", options.connect_timeout);
  core::check_positive(field + "stable_after", options.stable_after);
  core::check_positive(field + "restart_window", options.restart_window);

  runtime::channel_settings settings{
      .pool_name = pool_name,
      .address = options.address,
      .backoff = options.backoff,
      .make_backoff = options.make_backoff,
      .attempt_limit = attempt_limit(options.connect_timeout),
      .stable_after = options.stable_after,
      .on_connect = options.on_connect,
      .on_disconnect = options.on_disconnect,
      .telemetry = options.telemetry ? options.telemetry : telemetry::global(),
      .logger = options.logger ? options.logger : spdlog::default_logger(),
      .debug = options.debug,
  };
  if (!settings.make_backoff) settings.make_backoff = [](backoff_range range) { return exponential_backoff(range); };
  return std::make_shared<const runtime::channel_settings>(std::move(settings));
}

}  // namespace conn_grpc::detail
