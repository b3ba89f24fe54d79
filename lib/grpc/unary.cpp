// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/unary.hpp>

#include "grpc/call_monitor.hpp"
#include "grpc/watched_channel.hpp"
#include "runtime/context_registry.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace conn_grpc::detail {
namespace {

// An RPC in flight, owned by gRPC's callback. It ends in one of two ways: gRPC calls back, and the handler is posted;
// or the handler's execution context goes first, and takes the handler with it.
//
// gRPC may call back from inside any call into it, on the same thread, so none is made with the mutex held.
class unary_call final : public runtime::context_dependent, public std::enable_shared_from_this<unary_call> {
 public:
  unary_call(unary_handler handler, grpc::ClientContext& context) : context_(context), handler_(std::move(handler)) {}

  void start(asio::execution_context& home, const std::function<void(unary_callback)>& start) {
    registration_.emplace(home, weak_from_this());
    if (auto slot = asio::get_associated_cancellation_slot(handler_); slot.is_connected())
      slot.assign([weak = weak_from_this()](asio::cancellation_type) {
        if (const auto call = weak.lock()) call->cancel();
      });
    if (!begin()) return;
    call_monitor::start_call(context_, monitor_, [&] {
      start([self = shared_from_this()](grpc::Status status) { self->ended(std::move(status)); });
    });
  }

  void context_going() noexcept override { cancel(); }

  // The frame that the handler owns holds what gRPC is still using. gRPC lets go promptly, now that the call is
  // cancelled: its callbacks run on its own threads, which wait for nothing of ours.
  void context_gone() noexcept override {
    std::unique_lock lock(mutex_);
    unary_handler handler(std::move(handler_));
    if (handler && begun_) finished_changed_.wait(lock, [this] { return finished_; });
    lock.unlock();
  }

 private:
  // Not when the context is gone already.
  bool begin() {
    const std::lock_guard lock(mutex_);
    return begun_ = static_cast<bool>(handler_);
  }

  // Runs where the handler runs, or instead of it, hence not at the same time: if the RPC ends meanwhile, its context
  // is still there.
  void cancel() {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return;
    }
    context_.TryCancel();
  }

  void ended(grpc::Status status) {
    if (monitor_)
      if (const auto connection = monitor_->call_ended(status))
        return connection->await_loss([self = shared_from_this(), status] { self->finish(status); });
    finish(std::move(status));
  }

  void finish(grpc::Status status) {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
      finished_changed_.notify_all();
      unary_handler handler(std::move(handler_));  // not by assignment: Asio 1.26's recurses without end
      if (handler) std::move(handler)(std::move(status));
    }
    registration_.reset();
  }

  grpc::ClientContext& context_;
  std::shared_ptr<call_monitor> monitor_;  // of the channel that carries the RPC; null when it has none
  std::mutex mutex_;
  std::condition_variable finished_changed_;
  bool begun_ = false;
  bool finished_ = false;
  unary_handler handler_;  // empty once called, or gone with its context
  std::optional<runtime::context_registration> registration_;
};

}  // namespace

void start_unary(unary_handler handler, asio::execution_context& home, grpc::ClientContext& context,
                 const std::function<void(unary_callback)>& start) {
  std::make_shared<unary_call>(std::move(handler), context)->start(home, start);
}

}  // namespace conn_grpc::detail
