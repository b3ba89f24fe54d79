// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/lifecycle.hpp>

#include "grpc/channels.hpp"

#include <boost/asio/system_executor.hpp>
#include <boost/system/system_error.hpp>
#include <string>
#include <utility>

namespace conn_grpc {

lifecycle::lifecycle(std::shared_ptr<detail::channels> channels, std::string label)
    : channels_(std::move(channels)), label_(std::move(label)) {}

lifecycle::~lifecycle() { stop(); }

void lifecycle::start(run_handler handler) { channels_->async_run(std::move(handler)); }

void lifecycle::stop() noexcept { channels_->stop(); }

lifecycle::executor_type lifecycle::get_executor() const noexcept { return channels_->executor(); }

// Once its context is gone there is none of its own to complete on.
lifecycle::executor_type lifecycle::completion_executor() const {
  auto executor = get_executor();
  return executor ? executor : executor_type(asio::system_executor());
}

boost::system::result<channel_ptr> lifecycle::next_channel() noexcept { return channels_->next(); }

std::vector<channel_status> lifecycle::channel_statuses() const { return channels_->status(); }

void lifecycle::throw_unavailable(error_code why) const {
  std::string who = "conn_grpc " + label_;
  if (const auto failed = channels_->last_failure(); failed && why == errc::not_connected)
    who += ": " + failed->name + ": " + failed->last_error;
  throw boost::system::system_error(why, who);
}

}  // namespace conn_grpc
