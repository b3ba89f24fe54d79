// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/channel.hpp>

#include "core/checks.hpp"
#include "grpc/channels.hpp"
#include "grpc/settings.hpp"

#include <memory>

namespace conn_grpc {
namespace {

std::shared_ptr<detail::channels> make_channels(const channel::executor_type& executor,
                                                const channel_options& options) {
  auto settings = detail::checked_settings(options, {});
  core::check(static_cast<bool>(executor), "executor", "must not be empty");
  auto channels = std::make_shared<detail::channels>(executor);
  channels->add(std::move(settings), detail::grpc_connector(options));
  return channels;
}

}  // namespace

channel::channel(executor_type executor, channel_options options)
    : lifecycle(make_channels(executor, options),
                "channel " + (options.name.empty() ? "to " + options.address : options.name)) {}

channel_status channel::status() const { return channel_statuses().front(); }

}  // namespace conn_grpc
