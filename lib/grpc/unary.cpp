// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/unary.hpp>

#include "grpc/callback_loop.hpp"
#include "grpc/monitored_call.hpp"
#include "runtime/bound_operation.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace conn_grpc::detail {
namespace {

// An RPC in flight, owned by gRPC's callback. The frame that the handler owns holds what
// gRPC is using. So the destruction of the handler's context waits for the callback. gRPC
// calls back promptly then, because the call is cancelled. It does so on its own threads,
// which wait for nothing of the library's. From the callback on gRPC uses nothing of the
// frame, and nothing waits for this object.
//
// gRPC may call back from inside any call into it, on the same thread. So no call into
// gRPC is made with a mutex held.
class unary_call final : public runtime::bound_operation<grpc::Status>,
                         public deferred_completion,
                         public std::enable_shared_from_this<unary_call> {
 public:
  unary_call(unary_handler handler, grpc::ClientContext& context)
      : bound_operation(std::move(handler)), context_(context) {}

  void start(asio::cancellation_slot slot, asio::execution_context& handler_context,
             const std::function<void(unary_callback)>& start) {
    bind(slot, handler_context, weak_from_this());
    if (!hold()) return;
    call_.start(context_,
                [&] { start([self = shared_from_this()](grpc::Status status) { self->ended(std::move(status)); }); });
  }

  void context_gone() noexcept override {
    const callback_loop::waiting waits;  // for gRPC's callback
    bound_operation::context_gone();
  }

 private:
  // Runs on the handler's executor, or instead of the handler, so never at the same time.
  // If the RPC ends meanwhile, `context_` still exists.
  void cancel() noexcept override {
    if (finished_)
      deliver_kept();
    else
      context_.TryCancel();
  }

  // The channel of an RPC that ended with its connection is withdrawn before the handler
  // is called. Without memory for that it terminates: gRPC would swallow the exception,
  // and the RPC would never complete.
  void ended(grpc::Status status) noexcept {
    finished_ = true;
    const bool awaits_loss = call_.ended(status);
    const bool is_deferred = !awaits_loss && callback_loop::is_in_turn();
    if (!awaits_loss && !is_deferred) return deliver(held(), std::move(status));
    keep(std::move(status));
    {
      const auto released = held();
    }
    if (is_deferred)
      callback_loop::after_callback(shared_from_this());
    else
      call_.await_loss([self = shared_from_this()] { self->deliver_kept(); });
  }

  void complete_deferred() override { deliver_kept(); }

  // The status while the report of a loss is awaited, or until gRPC's callback has
  // returned. The thread that takes it delivers it: the thread that has the report or has
  // called back, or the thread that cancels.
  void keep(grpc::Status status) {
    const std::lock_guard lock(mutex_);
    kept_ = std::move(status);
  }
  void deliver_kept() {
    std::optional<grpc::Status> taken;
    {
      const std::lock_guard lock(mutex_);
      taken.swap(kept_);
    }
    if (taken) complete(*std::move(taken));
  }

  grpc::ClientContext& context_;
  monitored_call call_;
  std::atomic<bool> finished_{false};
  std::mutex mutex_;
  std::optional<grpc::Status> kept_;
};

}  // namespace

void start_unary(unary_handler handler, asio::execution_context& handler_context, grpc::ClientContext& context,
                 const std::function<void(unary_callback)>& start) {
  const auto slot = asio::get_associated_cancellation_slot(handler);
  std::make_shared<unary_call>(std::move(handler), context)->start(slot, handler_context, start);
}

}  // namespace conn_grpc::detail
