// SPDX-License-Identifier: BSL-1.0
#include "grpc/channels.hpp"

#include <conn_grpc/detail/run.hpp>

#include "core/checks.hpp"
#include "grpc/settings.hpp"

#include <cstddef>
#include <utility>

namespace conn_grpc::detail {
namespace {

// Far above what one process has sockets for: a slip, which would take the memory of the machine.
constexpr std::size_t most_channels = 100'000;

runtime::group_settings common_settings(const channel_options& options, const runtime::channel_settings& checked,
                                        std::string name, std::string type_key) {
  return {
      .name = std::move(name),
      .type_key = std::move(type_key),
      .address = options.address,
      .label = {},
      .status_interval = {},
      .max_waiters = 0,
      .max_restarts = options.max_restarts,
      .restart_window = options.restart_window,
      .telemetry = checked.telemetry,
      .logger = checked.logger,
  };
}

}  // namespace

std::shared_ptr<channels> make_channels(const asio::any_io_executor& executor, const pool_options& options,
                                        std::string type_key) {
  core::check(static_cast<bool>(executor), "executor", "must not be empty");
  core::check_positive("status_interval", options.status_interval);
  core::check(options.pool_size <= most_channels, "pool_size", "must not be above " + std::to_string(most_channels));
  const auto each = checked_settings(options.channel, "channel.", options.name);
  auto whole = common_settings(options.channel, *each, options.name, std::move(type_key));
  whole.label = "pool " + (options.name.empty() ? "of " + options.channel.address : options.name);
  whole.status_interval = options.status_interval;
  whole.max_waiters = options.max_waiters;

  auto made = std::make_shared<channels>(executor, std::move(whole), options.channel.mock);
  const auto connector = std::make_shared<const grpc_connector>(options.channel);
  for (std::size_t index = 0; index < options.pool_size; ++index)
    made->add(each, options.name + "/" + std::to_string(index), connector);
  return made;
}

std::shared_ptr<channels> make_channels(const asio::any_io_executor& executor, const channel_options& options,
                                        std::string type_key) {
  core::check(static_cast<bool>(executor), "executor", "must not be empty");
  auto settings = checked_settings(options, {}, {});
  auto whole = common_settings(options, *settings, options.name, std::move(type_key));
  whole.label = "channel " + (options.name.empty() ? "to " + options.address : options.name);

  auto made = std::make_shared<channels>(executor, std::move(whole), options.mock);
  made->add(std::move(settings), options.name, std::make_shared<const grpc_connector>(options));
  return made;
}

}  // namespace conn_grpc::detail
