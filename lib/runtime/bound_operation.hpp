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

/// An operation whose end comes from outside of its handler's execution context: another thread's get, gRPC's callback.
/// The handler is posted once at most. When its context is destroyed before, so is the handler, uncalled, and
/// the context waits for a thread that is just posting the handler. No mutex is held while the handler is posted,
/// called or destroyed.
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

  void context_gone() noexcept final { handler_.close(); }

 protected:
  using user = typename closable<handler_type>::user;

  /// @param handler posts: it may be called by any thread.
  explicit bound_operation(handler_type handler) : handler_(std::move(handler)) {}
  ~bound_operation() = default;

  /// The handler's cancellation, of any type, and the end of its context call `cancel()` from now on.
  /// @param slot the handler's.
  /// @param handler_context where the handler posts to.
  /// @param self this object, which must be shared.
  void bind(boost::asio::cancellation_slot slot, boost::asio::execution_context& handler_context,
            std::weak_ptr<bound_operation> self) {
    if (slot.is_connected())
      slot.assign([self](boost::asio::cancellation_type) {
        if (const auto operation = self.lock()) operation->cancel();
      });
    registration_.emplace(handler_context, std::move(self));
  }

  /// Until a `deliver` that adopts it, the context's destruction waits before it destroys the handler. False when the
  /// context has been destroyed.
  [[nodiscard]] bool hold() noexcept { return handler_.enter(); }
  [[nodiscard]] user held() noexcept { return user(handler_, std::adopt_lock); }

  void deliver(const user& in, Args... args) {
    if (!in || handler_.is_shut()) return;
    handler_type taken(std::move(*in));  // not by assignment: Asio 1.26's recurses without end
    const detail::fallback& elsewhere = *this;
    if (taken) std::move(taken)(elsewhere, std::move(args)...);
  }

 private:
  /// Ends the operation early, if it has not ended. Called by any thread.
  virtual void cancel() noexcept = 0;

  /// Where the handler is posted when its executor throws.
  void post(detail::refused_work work) const noexcept override {
    post_to_system_executor(detail::completion(std::move(work)));
  }

  closable<handler_type> handler_;  // empty once it was posted
  std::optional<shutdown_registration> registration_;
};

}  // namespace conn_grpc::runtime
