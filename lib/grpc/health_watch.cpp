// SPDX-License-Identifier: BSL-1.0
#include "grpc/health_watch.hpp"

#include "core/health_message.hpp"
#include "grpc/completion_thread.hpp"
#include "grpc/grpc_time.hpp"

#include <grpc/support/time.h>
#include <grpcpp/alarm.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <grpcpp/support/status.h>

#include <string_view>
#include <utility>

namespace conn_grpc::detail {
namespace {

using core::serving_status;
using std::chrono::milliseconds;

// Before an RPC that has ended is made again. exponential_backoff draws each delay between
// the last one and three times that.
constexpr backoff_range between_calls{.min = milliseconds(1'000), .max = milliseconds(120'000)};

// An RPC that was answered and lived this long is made again at once: a proxy may limit the
// time of a stream.
constexpr milliseconds stable_after{1'000};

::grpc::ByteBuffer to_buffer(const std::string& bytes) {
  const ::grpc::Slice slice(bytes);
  return {&slice, 1};
}

serving_status status_in(const ::grpc::ByteBuffer& answer) {
  ::grpc::Slice bytes;
  if (!answer.DumpToSingleSlice(&bytes).ok()) return core::health_response({});
  return core::health_response({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
}

}  // namespace

struct health_watch::call {
  explicit call(const channel_ptr& channel) : stub(channel) {}

  const std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  ::grpc::GenericStub stub;
  ::grpc::ClientContext context;
  std::unique_ptr<::grpc::ClientAsyncReaderWriterInterface<::grpc::ByteBuffer, ::grpc::ByteBuffer>> stream;
  ::grpc::ByteBuffer answer;
  ::grpc::Status status;
  bool was_answered = false;
};

class health_watch::step final : public pending_completion {
 public:
  step(std::shared_ptr<health_watch> watch, next_step next) : watch_(std::move(watch)), next_(next) {}
  [[nodiscard]] bool is_of_call() const noexcept override { return true; }
  void complete(bool ok) noexcept override { (watch_.get()->*next_)(ok); }

 private:
  const std::shared_ptr<health_watch> watch_;
  const next_step next_;
};

/// Calls `start(queue, tag)`, and `next` when the queue has returned the tag. While the
/// process is exiting the watch ends here.
template <class Start>
void health_watch::then(next_step next, Start start) {
  completion_thread::instance().submit(std::make_unique<step>(shared_from_this(), next), start);
}

void health_watch::cancel() noexcept {
  cancelled_ = true;
  std::shared_ptr<call> in_flight;
  std::shared_ptr<::grpc::Alarm> wait;
  {
    const std::lock_guard lock(mutex_);
    in_flight = call_;
    wait = wait_;
  }
  if (in_flight) in_flight->context.TryCancel();
  if (wait) wait->Cancel();
  completion_thread::instance().poll_soon();
}

// An RPC on a channel that is not READY would make gRPC connect. Its loss is reported.
void health_watch::ask() {
  const auto channel = channel_.lock();
  if (!channel || channel->GetState(false) != GRPC_CHANNEL_READY) return;
  const auto begun = std::make_shared<call>(channel);
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) return;
    call_ = begun;
  }
  then(&health_watch::started, [&](::grpc::CompletionQueue* queue, void* tag) {
    begun->stream = begun->stub.PrepareCall(&begun->context, method_that_asks_for_health, queue);
    begun->stream->StartCall(tag);
  });
}

void health_watch::started(bool ok) {
  if (!ok) return finish();
  then(&health_watch::requested, [this](::grpc::CompletionQueue*, void* tag) {
    call_->stream->WriteLast(to_buffer(core::health_request(service_)), {}, tag);
  });
}

void health_watch::requested(bool ok) { ok ? read() : finish(); }

void health_watch::read() {
  then(&health_watch::answered,
       [this](::grpc::CompletionQueue*, void* tag) { call_->stream->Read(&call_->answer, tag); });
}

void health_watch::answered(bool ok) {
  if (!ok) return finish();
  call_->was_answered = true;
  if (backoff_) backoff_->reset();
  const auto status = status_in(call_->answer);
  if (!cancelled_)
    changed_(status == serving_status::serving           ? std::string()
             : status == serving_status::service_unknown ? not_serving("the server does not know it")
                                                         : not_serving());
  read();
}

void health_watch::finish() {
  then(&health_watch::ended,
       [this](::grpc::CompletionQueue*, void* tag) { call_->stream->Finish(&call_->status, tag); });
}

void health_watch::ended(bool) {
  std::shared_ptr<call> over;
  {
    const std::lock_guard lock(mutex_);
    over.swap(call_);
  }
  const auto status = over->status;
  const auto channel = channel_.lock();
  if (cancelled_ || !channel) return;
  if (status.error_code() == ::grpc::StatusCode::UNIMPLEMENTED) return changed_({});
  delay_ = next_delay(*over);
  over.reset();  // it holds the channel
  failure_ = not_serving("its watch ended: " + (status.ok() ? "OK" : status.error_message()));
  if (status.error_code() != ::grpc::StatusCode::UNAVAILABLE) return fail_unless_lost(true);
  // It has probably ended with the connection. gRPC reports the loss a moment later.
  then(&health_watch::fail_unless_lost, [&](::grpc::CompletionQueue* queue, void* tag) {
    channel->NotifyOnStateChange(GRPC_CHANNEL_READY, after(time_to_notice_loss), queue, tag);
  });
}

void health_watch::fail_unless_lost(bool) {
  {
    const auto channel = channel_.lock();
    if (cancelled_ || !channel || channel->GetState(false) != GRPC_CHANNEL_READY) return;
  }
  changed_(failure_);
  if (delay_.count() == 0)
    ask();
  else
    ask_later();
}

milliseconds health_watch::next_delay(const call& ended) {
  if (ended.was_answered && std::chrono::steady_clock::now() - ended.begun >= stable_after) return milliseconds(0);
  if (!backoff_) backoff_ = exponential_backoff(between_calls);
  return backoff_->next();
}

void health_watch::ask_later() {
  const auto alarm = std::make_shared<::grpc::Alarm>();
  {
    const std::lock_guard lock(mutex_);
    wait_ = alarm;
  }
  then(&health_watch::waited,
       [&](::grpc::CompletionQueue* queue, void* tag) { alarm->Set(queue, after(delay_), tag); });
  if (cancelled_) alarm->Cancel();  // cancelled before it was set
}

void health_watch::waited(bool ok) {
  std::shared_ptr<::grpc::Alarm> over;
  {
    const std::lock_guard lock(mutex_);
    over.swap(wait_);
  }
  if (ok) ask();
}

std::string health_watch::not_serving(const std::string& because) const {
  return "not serving (health service \"" + service_ + "\")" + (because.empty() ? "" : ": ") + because;
}

}  // namespace conn_grpc::detail
