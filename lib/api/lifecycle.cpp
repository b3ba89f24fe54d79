// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/lifecycle.hpp>

#include "api/pool_impl.hpp"
#include "runtime/last_resort.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/system_executor.hpp>

#include <utility>

namespace conn_grpc {

namespace {

/// The handler as the pool calls it.
auto completion_of(detail::pool_impl& caller, detail::run_handler handler) {
  auto slot = asio::get_associated_cancellation_slot(handler);
  auto complete = [&caller, handler = std::move(handler)](error_code ec) mutable {
    std::move(handler)(caller, ec);  // `caller` exists, because it is calling this
  };
  return asio::bind_cancellation_slot(slot, std::move(complete));
}

}  // namespace

void detail::start(pool_impl& started, run_handler handler) {
  started.async_run(completion_of(started, std::move(handler)));
}

void detail::drain(pool_impl& drained, run_handler handler, std::chrono::nanoseconds timeout) {
  drained.async_drain(completion_of(drained, std::move(handler)), timeout);
}

void detail::resize(pool_impl& resized, run_handler handler, std::size_t size) {
  resized.async_resize(completion_of(resized, std::move(handler)), size);
}

// A pool whose context has been destroyed has no executor of its own to complete on.
asio::any_io_executor detail::completion_executor(const pool_impl& started) {
  auto executor = started.executor();
  return executor ? executor : asio::any_io_executor(asio::system_executor());
}

const detail::fallback& detail::system_fallback() noexcept {
  static const class to_system_executor final : public fallback {
    void post(refused_work work) const noexcept override {
      runtime::post_to_system_executor(completion(std::move(work)));
    }
  } instance;
  return instance;
}

const detail::fallback& detail::fallback_of(const pool_impl& started) noexcept { return started; }

lifecycle::lifecycle(std::shared_ptr<detail::pool_impl> channels) : impl_(std::move(channels)) {}

lifecycle::~lifecycle() { stop(); }

const std::shared_ptr<detail::pool_impl>& detail::shared_state(const lifecycle& of) noexcept { return of.impl_; }

void lifecycle::stop() noexcept { impl_->stop(); }

lifecycle::executor_type lifecycle::get_executor() const noexcept { return impl_->executor(); }

pool_status lifecycle::full_status() const { return impl_->status(); }

}  // namespace conn_grpc
