// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/append.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <conn_grpc/detail/config.hpp>

#include <utility>

namespace conn_grpc::detail {

/// A handler that may be called by any thread: it posts the one it was made of to that one's associated executor, which
/// until then has work to do. Made where the handler's type is still known, because asio::any_completion_handler
/// forgets how to post (its executor has neither a context nor blocking.never).
template <class Handler, class Executor>
class posted_handler {
 public:
  using allocator_type = asio::associated_allocator_t<Handler>;
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  /// @param fallback for a handler that has no executor of its own.
  posted_handler(Handler handler, const Executor& fallback)
      : work_(asio::make_work_guard(handler, fallback)), handler_(std::move(handler)) {}

  allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler_); }
  cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  asio::execution_context& context() const {
    const auto& executor = work_.get_executor();
    if constexpr (asio::execution::is_executor<asio::associated_executor_t<Handler, Executor>>::value)
      return asio::query(executor, asio::execution::context);
    else
      return executor.context();  // an executor of the Networking TS
  }

  template <class... Args>
  void operator()(Args... args) {
    asio::post(work_.get_executor(), asio::append(std::move(handler_), std::move(args)...));
  }

 private:
  asio::executor_work_guard<asio::associated_executor_t<Handler, Executor>> work_;
  Handler handler_;
};

}  // namespace conn_grpc::detail
