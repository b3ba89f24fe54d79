// SPDX-License-Identifier: BSL-1.0
#include "grpc/watched_channel.hpp"

#include "grpc/completion_thread.hpp"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <utility>

namespace conn_grpc::detail {

using runtime::connection_state;

class watched_channel::watch final : public completion {
 public:
  watch(std::shared_ptr<watched_channel> watched, grpc_connectivity_state last)
      : watched_(std::move(watched)), last_(last) {}
  void complete(bool) noexcept override { watched_->changed_from(last_); }

 private:
  std::shared_ptr<watched_channel> watched_;
  grpc_connectivity_state last_;
};

// A call that is not wait-for-ready ends at once on a channel in TRANSIENT_FAILURE, without a byte on the wire, and its
// status is the only place where gRPC says why.
class watched_channel::reason_call final : public completion {
 public:
  reason_call(std::shared_ptr<watched_channel> watched, const channel_ptr& channel)
      : watched_(std::move(watched)), call_(std::make_unique<call>(channel)) {}

  void start(::grpc::CompletionQueue* queue, void* tag) {
    call_->reader = call_->stub.PrepareUnaryCall(&call_->context, "/conn_grpc/why", ::grpc::ByteBuffer(), queue);
    call_->reader->StartCall();
    call_->reader->Finish(&call_->reply, &call_->status, tag);
  }

  void complete(bool) noexcept override {
    const std::string reason = call_->status.error_message();
    call_.reset();  // holds the channel, which must be gone before anyone is told
    watched_->failed(reason);
  }

 private:
  struct call {
    explicit call(const channel_ptr& channel) : stub(channel) {
      context.set_wait_for_ready(false);
      // Should the channel have recovered in between, this bounds the wait for a server that does not know the method.
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    }

    ::grpc::GenericStub stub;
    ::grpc::ClientContext context;
    std::unique_ptr<::grpc::ClientAsyncResponseReader<::grpc::ByteBuffer>> reader;
    ::grpc::ByteBuffer reply;
    ::grpc::Status status;
  };

  std::shared_ptr<watched_channel> watched_;
  std::unique_ptr<call> call_;
};

void watched_channel::start() {
  const std::lock_guard lock(mutex_);
  begin();
}

// With mutex_ held.
void watched_channel::begin() {
  switch (channel_->GetState(true)) {
    case GRPC_CHANNEL_TRANSIENT_FAILURE:  // a lame channel: it never changes, so a watch would never complete
      ask_for_reason();
      break;
    case GRPC_CHANNEL_SHUTDOWN:  // an in-process channel: there is no connection that could be lost, nor watched
      state_ = connection_state::connected;
      break;
    default:
      // From IDLE even if the channel is past that: then the watch completes at once.
      wait_for_change_from(GRPC_CHANNEL_IDLE);
  }
}

void watched_channel::abandon() noexcept {
  // Destroyed without the lock: a channel takes its time to close, and the callback is somebody else's.
  channel_ptr channel;
  std::function<void()> changed;
  const std::lock_guard lock(mutex_);
  channel.swap(channel_);
  changed.swap(changed_);
}

connection_state watched_channel::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::string watched_channel::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

channel_ptr watched_channel::channel() const {
  const std::lock_guard lock(mutex_);
  return state_ == connection_state::connected ? channel_ : nullptr;
}

// With mutex_ held and a channel to watch.
void watched_channel::wait_for_change_from(grpc_connectivity_state last) {
  completion_thread::instance().submit(
      std::make_unique<watch>(shared_from_this(), last), [&](::grpc::CompletionQueue* queue, void* tag) {
        channel_->NotifyOnStateChange(last, gpr_inf_future(GPR_CLOCK_REALTIME), queue, tag);
      });
}

void watched_channel::changed_from(grpc_connectivity_state last) {
  std::unique_lock lock(mutex_);
  if (!channel_) return;
  const auto now = last == GRPC_CHANNEL_READY ? GRPC_CHANNEL_IDLE : channel_->GetState(false);
  switch (now) {
    case GRPC_CHANNEL_CONNECTING:
      wait_for_change_from(now);
      break;
    case GRPC_CHANNEL_READY: {
      if (!failure_.empty()) {  // an inquiry, which verifies nothing: not to be handed out, whatever gRPC makes of it
        lock.unlock();
        return end(connection_state::failed);
      }
      state_ = connection_state::connected;
      wait_for_change_from(now);
      const auto changed = changed_;
      lock.unlock();
      changed();
      break;
    }
    case GRPC_CHANNEL_IDLE:
      lock.unlock();
      end(connection_state::lost);
      break;
    case GRPC_CHANNEL_TRANSIENT_FAILURE:
    case GRPC_CHANNEL_SHUTDOWN:
      ask_for_reason();
      break;
  }
}

// With mutex_ held.
void watched_channel::ask_for_reason() {
  auto call = std::make_unique<reason_call>(shared_from_this(), channel_);
  auto& starting = *call;
  completion_thread::instance().submit(std::move(call),
                                       [&](::grpc::CompletionQueue* queue, void* tag) { starting.start(queue, tag); });
}

// On the completion thread.
void watched_channel::failed(const std::string& reason) {
  if (!diagnosis_) return end(connection_state::failed, reason);
  const auto end_with = [self = shared_from_this()](std::string explained) {
    self->end(connection_state::failed, std::move(explained));
  };
  if (const auto first = failure(); !first.empty()) return diagnosis_->explain(first, reason, end_with);
  auto inquiry = diagnosis_->inquiry(reason);
  if (!inquiry) return diagnosis_->explain(reason, {}, end_with);
  const std::lock_guard lock(mutex_);
  if (!channel_) return;
  failure_ = reason;
  channel_.swap(inquiry);
  begin();
}

void watched_channel::end(connection_state outcome, std::string failure) {
  std::function<void()> changed;
  channel_ptr channel;
  {
    const std::lock_guard lock(mutex_);
    if (!channel_) return;
    state_ = failure_.empty() ? outcome : connection_state::failed;  // whatever became of an inquiry
    if (!failure.empty()) failure_ = std::move(failure);
    channel.swap(channel_);
    changed = changed_;
  }
  channel.reset();  // before anyone begins another attempt
  changed();
}

}  // namespace conn_grpc::detail
