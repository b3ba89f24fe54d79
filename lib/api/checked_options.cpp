// SPDX-License-Identifier: BSL-1.0
#include "api/checked_options.hpp"

#include "core/option_checks.hpp"
#include "core/target.hpp"
#include "grpc/grpc_connector.hpp"

#include <spdlog/spdlog.h>

#include <cstddef>
#include <utility>

namespace conn_grpc::detail {
namespace {

// Far above the number of sockets that a process can have. A larger number is a mistake
// that would take the memory of the machine.
constexpr std::size_t most_channels = 100'000;

/// @param prefix of the names of the fields: "" or "channel.".
runtime::checked_pool_options checked_channel(const channel_options& options, const std::string& prefix,
                                              std::string name, std::string type_key) {
  core::check_not_empty(prefix + "address", options.address);
  if (!options.create_channel) core::check_target(prefix + "address", options.address);
  core::check_range(prefix + "backoff", options.backoff);
  core::check_positive(prefix + "connect_timeout", options.connect_timeout);
  core::check_positive(prefix + "stable_after", options.stable_after);
  core::check_positive(prefix + "restart_window", options.restart_window);

  runtime::checked_pool_options all{
      .name = std::move(name),
      .type_key = std::move(type_key),
      .label = {},
      .address = options.address,
      .status_interval = {},
      .max_restarts = options.max_restarts,
      .restart_window = options.restart_window,
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
  if (!all.make_backoff) all.make_backoff = [](backoff_range range) { return exponential_backoff(range); };
  return all;
}

}  // namespace

std::shared_ptr<const runtime::checked_pool_options> checked(const pool_options& options, std::string type_key) {
  core::check_positive("status_interval", options.status_interval);
  core::check(options.pool_size <= most_channels, "pool_size", "must not be above " + std::to_string(most_channels));
  auto all = checked_channel(options.channel, "channel.", options.name, std::move(type_key));
  all.label = "pool " + (all.name.empty() ? "of " + all.address : all.name);
  all.pool_size = options.pool_size;
  all.status_interval = options.status_interval;
  all.max_waiters = options.max_waiters;
  return std::make_shared<const runtime::checked_pool_options>(std::move(all));
}

std::shared_ptr<const runtime::checked_pool_options> checked(const channel_options& options, std::string type_key) {
  auto all = checked_channel(options, {}, options.name, std::move(type_key));
  all.label = "channel " + (all.name.empty() ? "to " + all.address : all.name);
  return std::make_shared<const runtime::checked_pool_options>(std::move(all));
}

}  // namespace conn_grpc::detail
