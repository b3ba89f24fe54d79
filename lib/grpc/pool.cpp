// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/pool.hpp>

#include "core/checks.hpp"
#include "grpc/channels.hpp"
#include "grpc/settings.hpp"

#include <algorithm>
#include <memory>

namespace conn_grpc {
namespace {

std::shared_ptr<detail::channels> make_channels(const pool::executor_type& executor, const pool_options& options) {
  core::check(static_cast<bool>(executor), "executor", "must not be empty");
  core::check_positive("status_interval", options.status_interval);
  auto settings = detail::checked_settings(options.channel, "channel.");
  settings.pool_name = options.name;

  auto channels = std::make_shared<detail::channels>(executor);
  const detail::grpc_connector connector(options.channel);
  for (std::size_t index = 0; index < options.pool_size; ++index) {
    settings.name = options.name + "/" + std::to_string(index);
    channels->add(settings, connector);
  }
  return channels;
}

}  // namespace

pool::pool(executor_type executor, pool_options options)
    : lifecycle(make_channels(executor, options),
                "pool " + (options.name.empty() ? "of " + options.channel.address : options.name)),
      name_(std::move(options.name)) {}

pool_status pool::status() const {
  pool_status status{.name = name_, .channels = channel_statuses()};
  status.expected_size = status.channels.size();
  status.current_size =
      static_cast<std::size_t>(std::ranges::count(status.channels, channel_state::connected, &channel_status::state));
  return status;
}

}  // namespace conn_grpc
