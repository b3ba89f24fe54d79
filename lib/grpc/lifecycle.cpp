// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/lifecycle.hpp>

#include "grpc/channels.hpp"

#include <boost/system/system_error.hpp>

namespace conn_grpc {

lifecycle::lifecycle(std::shared_ptr<detail::channels> channels) noexcept : channels_(std::move(channels)) {}

lifecycle::~lifecycle() { stop(); }

void lifecycle::start(run_handler handler) { channels_->async_run(std::move(handler)); }

void lifecycle::stop() noexcept { channels_->stop(); }

lifecycle::executor_type lifecycle::get_executor() const noexcept { return channels_->executor(); }

boost::system::result<channel_ptr> lifecycle::next_channel() noexcept { return channels_->next(); }

std::vector<channel_status> lifecycle::channel_statuses() const { return channels_->status(); }

void lifecycle::throw_unavailable(error_code why) const {
  const auto failed = channels_->last_failure();
  throw boost::system::system_error(why, failed ? failed->name + ": " + failed->last_error : "conn_grpc");
}

}  // namespace conn_grpc
