// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/closable.hpp"
#include "runtime/last_resort.hpp"
#include "runtime/shutdown_registry.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/detail/completion.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace conn_grpc::runtime {

/// An operation that completes from outside of its handler's execution context: by
/// another thread that publishes a channel, or by gRPC's callback. The handler is posted
/// at most once. If its context is destroyed first, the handler is destroyed uncalled.
/// That destruction waits for a thread that is posting the handler. No mutex is held
/// while the handler is posted, called or destroyed.
///
/// *Thread safety*: all public functions.
template <class... Args>
class bound_operation : public shutdown_listener, private detail::fallback {
 public:
  using handler_type = boost::asio::any_completion_handler<void(const detail::fallback&, Args...)>;

  /// Posts the handler, unless that was done before, or its context is being destroyed.
  void complete(Args... args) { deliver(user(handler_), std::move(args)...); }

  void context_going() noexcept final {
    handler_.shut();
    cancel();
  }

  void context_gone() noexcept override { handler_.close(); }

 protected:
  using user = typename closable<handler_type>::user;

  /// @param handler posts itself, so any thread may call it.
  explicit bound_operation(handler_type handler) : handler_(std::move(handler)) {}
  ~bound_operation() = default;

  /// From now on `cancel()` is called when the handler is cancelled, with any type, and
  /// when its context is destroyed.
  /// @param slot of the handler.
  /// @param handler_context the context that the handler posts to.
  /// @param self this object, which must be shared.
  void bind(boost::asio::cancellation_slot slot, boost::asio::execution_context& handler_context,
            std::weak_ptr<bound_operation> self) {
    if (slot.is_connected())
      slot.assign([self](boost::asio::cancellation_type) {
        if (const auto operation = self.lock()) operation->cancel();
      });
    registration_.emplace(handler_context, std::move(self));
  }

  /// From now on the context's destruction waits before it destroys the handler, until
  /// the result of `held()` is destroyed. False when that destruction has begun before.
  [[nodiscard]] bool hold() noexcept { return handler_.enter(); }
  [[nodiscard]] user held() noexcept { return user(handler_, std::adopt_lock); }

  void deliver(const user& in, Args... args) {
    if (!in || handler_.is_shut()) return;
    handler_type taken(std::move(*in));  // not by assignment: Asio 1.26's recurses without end
    const detail::fallback& elsewhere = *this;
    if (taken) std::move(taken)(elsewhere, std::move(args)...);
  }

 private:
  /// Ends the operation early, unless it has ended. Any thread may call it.
  virtual void cancel() noexcept = 0;

  /// Posts the handler when the handler's own executor throws.
  void post(detail::refused_work work) const noexcept override {
    post_to_system_executor(detail::completion(std::move(work)));
  }

  closable<handler_type> handler_;  // empty once it has been posted
  std::optional<shutdown_registration> registration_;
};

}  // namespace conn_grpc::runtime
