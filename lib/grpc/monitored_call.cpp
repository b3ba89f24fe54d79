// SPDX-License-Identifier: BSL-1.0
#include "grpc/monitored_call.hpp"

#include "grpc/unmonitored_connection.hpp"
#include "grpc/watched_channel.hpp"

#include <utility>

namespace conn_grpc::detail {

void monitored_call::start(const grpc::ClientContext& context, const std::function<void()>& start) {
  call_monitor::start_call(context, monitor_, start);
}

bool monitored_call::ended(const grpc::Status& status) {
  if (!monitor_) return names_lost_connection(status);
  lost_ = monitor_->call_ended(status);
  return lost_ != nullptr;
}

void monitored_call::await_loss(const std::function<void()>& then) {
  if (auto lost = std::exchange(lost_, nullptr))
    watched_channel::await_loss(std::move(lost), then);
  else
    unmonitored_connection::await_loss_of_any(then);
}

void monitored_call::completed() {
  if (const auto monitor = std::exchange(monitor_, nullptr)) monitor->call_completed();
}

}  // namespace conn_grpc::detail
