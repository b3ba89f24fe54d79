// SPDX-License-Identifier: BSL-1.0
#include "runtime/shutdown_registry.hpp"

#include "runtime/context_service.hpp"

#include <utility>
#include <vector>

namespace conn_grpc::runtime {

std::shared_ptr<shutdown_registry> shutdown_registry::of(boost::asio::execution_context& context) {
  return context_service<shutdown_registry>::of(context);
}

void shutdown_registry::context_shutdown() noexcept {
  std::vector<std::shared_ptr<shutdown_listener>> to_notify;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    for (const auto& e : dependents_)
      if (auto dependent = e.dependent.lock()) to_notify.push_back(std::move(dependent));
  }
  for (const auto& dependent : to_notify) dependent->context_going();
  for (const auto& dependent : to_notify) dependent->context_gone();
}

shutdown_registration::shutdown_registration(boost::asio::execution_context& context,
                                             std::weak_ptr<shutdown_listener> dependent)
    : registry_(shutdown_registry::of(context)), entry_{{}, std::move(dependent)} {
  std::unique_lock lock(registry_->mutex_);
  registry_->dependents_.push_back(entry_);
  if (!registry_->gone_) return;
  lock.unlock();
  if (const auto late = entry_.dependent.lock()) late->context_gone();
}

shutdown_registration::~shutdown_registration() {
  const std::lock_guard lock(registry_->mutex_);
  registry_->dependents_.erase(registry_->dependents_.iterator_to(entry_));
}

}  // namespace conn_grpc::runtime
