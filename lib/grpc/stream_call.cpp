// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/stream_call.hpp>

#include "grpc/callback_loop.hpp"
#include "grpc/completion_thread.hpp"
#include "grpc/monitored_call.hpp"
#include "runtime/bound_operation.hpp"
#include "runtime/closable.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace conn_grpc::detail {
namespace {

// gRPC uses nothing of the frame that the handler owns, but perhaps its ClientContext. For
// that the stream waits, which is in the same frame. So the destruction of the handler's
// context waits for no callback here, unlike that of an RPC of unary.
template <class Result>
class stream_operation final : public runtime::bound_operation<Result> {
 public:
  using base = runtime::bound_operation<Result>;
  using call_function = void (*)(stream_call&);

  /// Binds the operation before gRPC can complete it.
  static std::shared_ptr<stream_operation> make(typename base::handler_type handler,
                                                asio::execution_context& handler_context,
                                                std::shared_ptr<stream_call> call, call_function when_cancelled) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto made = std::make_shared<stream_operation>(std::move(handler), std::move(call), when_cancelled);
    made->bind(slot, handler_context, made);
    return made;
  }

  stream_operation(typename base::handler_type handler, std::shared_ptr<stream_call> call, call_function when_cancelled)
      : base(std::move(handler)), call_(std::move(call)), when_cancelled_(when_cancelled) {}

 private:
  void cancel() noexcept override { when_cancelled_(*call_); }

  const std::shared_ptr<stream_call> call_;
  const call_function when_cancelled_;
};

using bool_operation = stream_operation<bool>;
using status_operation = stream_operation<grpc::Status>;

// A completion that waits until gRPC's callback has returned.
template <class Operation, class Result>
class deferred final : public deferred_completion {
 public:
  deferred(std::shared_ptr<Operation> pending, Result result)
      : pending_(std::move(pending)), result_(std::move(result)) {}
  void complete_deferred() override { pending_->complete(std::move(result_)); }

 private:
  const std::shared_ptr<Operation> pending_;
  Result result_;
};

template <class Operation, class Result>
void complete(const std::shared_ptr<Operation>& pending, Result result) {
  if (!pending) return;
  if (callback_loop::is_in_turn())
    callback_loop::after_callback(std::make_shared<deferred<Operation, Result>>(pending, std::move(result)));
  else
    pending->complete(std::move(result));
}

}  // namespace

// gRPC may end the call once nothing holds it: neither the user, who could begin an
// operation, nor a thread that is beginning one. Callbacks need no hold.
//
// gRPC may call back from inside any call into it, on the same thread. So no call into
// gRPC is made with the mutex held.
struct stream_call::state {
  state(bool can_read, call_context&& used)
      : reads(can_read), used_context(used.get()), owns_context(used.is_owned()), context(std::move(used)) {}

  /// The user begins no more operations. True when the caller is to give up the user's hold.
  bool release() { return !std::exchange(released, true); }

  const bool reads;
  grpc::ClientContext& used_context;
  const bool owns_context;
  runtime::closable<call_context> context;  // used for cancelling, and closed when gRPC and the user have ended
  monitored_call call;
  std::shared_ptr<void> owner;
  std::shared_ptr<stream_call> self;  // while gRPC has the call
  std::atomic<int> holds{1};
  std::atomic<bool> done{false};          // changes with the mutex held
  std::atomic<bool> dropped{false};       // changes with the mutex held
  std::atomic<bool> reply_in_use{false};  // from the start of a read until its reply has been taken

  std::mutex mutex;
  // All that follows is guarded by the mutex.
  std::shared_ptr<bool_operation> reading;
  std::shared_ptr<bool_operation> writing;
  std::shared_ptr<status_operation> finishing;
  bool released = false;
  bool write_failed = false;
  bool sending = false;             // gRPC writes a message, or the end of the messages
  bool half_closed = false;         // the end of the messages has been written, or is
  bool half_close_follows = false;  // it will be, after the message that gRPC writes
  bool discards = false;            // what is still unread
  bool finish_called = false;
  bool awaits_loss = false;  // the end of the call may be the loss of its connection, not yet reported
  grpc::Status status;       // once done
};

/// What is to be done without the mutex.
struct stream_call::steps {
  bool half_close = false;
  bool discard = false;
  bool cancel = false;
  bool unhold = false;
};

stream_call::stream_call(kind what, call_context context)
    : state_(std::make_unique<state>(what == kind::reads, std::move(context))) {}

stream_call::~stream_call() = default;

grpc::ClientContext& stream_call::context() const noexcept { return state_->used_context; }

void stream_call::start(std::shared_ptr<void> owner, const std::function<void(grpc::ClientContext&)>& begin) {
  state_->owner = std::move(owner);
  state_->self = shared_from_this();
  auto& context = state_->used_context;
  try {
    state_->call.start(context, [&] { begin(context); });
  } catch (...) {  // no memory, or an interceptor of the user's
    state_->owner.reset();
    const auto destroyed_later = std::move(state_->self);
    throw;
  }
}

void stream_call::read(bool_handler handler, asio::execution_context& handler_context) {
  auto operation =
      bool_operation::make(std::move(handler), handler_context, shared_from_this(), [](stream_call& c) { c.cancel(); });
  auto& s = *state_;
  const auto claimed = [&] {
    const std::lock_guard lock(s.mutex);
    if (s.released || s.reply_in_use.exchange(true)) return false;
    s.holds.fetch_add(1);
    s.reading = operation;
    return true;
  }();
  if (!claimed) return operation->complete(false);
  start_read();
  unhold();
}

void stream_call::got(bool ok) noexcept {
  auto& s = *state_;
  std::shared_ptr<bool_operation> operation;
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    operation = std::move(s.reading);
    next.unhold = !ok && s.release();
    next.discard = ok && s.discards;
  }
  carry_out(next);
  complete(operation, ok);
}

bool stream_call::take_reply(void* reply) {
  if (state_->dropped) return false;
  move_reply(reply);
  state_->reply_in_use = false;
  return true;
}

void stream_call::write(bool_handler handler, asio::execution_context& handler_context, outgoing_message message) {
  auto operation =
      bool_operation::make(std::move(handler), handler_context, shared_from_this(), [](stream_call& c) { c.cancel(); });
  auto& s = *state_;
  const auto claimed = [&] {
    const std::lock_guard lock(s.mutex);
    if (s.released || s.sending || s.half_closed || s.write_failed) return false;
    s.holds.fetch_add(1);
    s.sending = true;
    s.writing = operation;
    return true;
  }();
  if (!claimed) return operation->complete(false);
  try {
    start_write(message);
  } catch (...) {  // the message could not be copied
    {
      const std::lock_guard lock(s.mutex);
      s.sending = false;
      s.writing.reset();
    }
    unhold();
    throw;
  }
  unhold();
}

void stream_call::writes_done(bool_handler handler, asio::execution_context& handler_context) {
  auto operation =
      bool_operation::make(std::move(handler), handler_context, shared_from_this(), [](stream_call& c) { c.cancel(); });
  auto& s = *state_;
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    next.half_close = !s.released && !s.sending && !s.half_closed && !s.write_failed;
    if (next.half_close) {
      s.holds.fetch_add(1);
      s.sending = true;
      s.half_closed = true;
      s.writing = operation;
      // Without reads the user has nothing more to begin.
      next.unhold = !s.reads && s.release();
    }
  }
  if (!next.half_close) return operation->complete(false);
  carry_out(next);
  unhold();
}

void stream_call::wrote(bool ok) noexcept {
  auto& s = *state_;
  std::shared_ptr<bool_operation> operation;
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    operation = std::move(s.writing);
    s.sending = false;
    if (!ok) s.write_failed = true;
    next.half_close = ok && std::exchange(s.half_close_follows, false);
    if (next.half_close) s.sending = s.half_closed = true;
    // Messages of the server may still be read.
    next.unhold = !ok && !s.reads && s.release();
  }
  carry_out(next);
  complete(operation, ok);
}

void stream_call::finish(status_handler handler, asio::execution_context& handler_context) {
  auto operation = status_operation::make(std::move(handler), handler_context, shared_from_this(),
                                          [](stream_call& c) { c.cancel_finish(); });
  auto& s = *state_;
  steps next;
  std::optional<grpc::Status> status;  // unless it is to be awaited
  {
    const std::lock_guard lock(s.mutex);
    if (s.finish_called) {
      status.emplace(grpc::StatusCode::FAILED_PRECONDITION, "finish() was called before");
    } else if (s.done && !s.awaits_loss) {
      status = std::move(s.status);
    } else {
      s.finishing = std::move(operation);
      if (!s.released && !s.reads && s.sending) s.half_close_follows = true;
      if (!s.released && !s.reads && !s.sending) next.half_close = s.sending = s.half_closed = true;
      // After a failed write the server has ended the call, and its status follows its
      // messages.
      if (!s.released && s.reads && s.write_failed) next.discard = s.discards = true;
      if (!s.released && s.reads && !s.write_failed) next.cancel = true;
      if (s.reading) next.discard = false;  // that follows when gRPC has read
      next.unhold = s.release();
    }
    s.finish_called = true;
  }
  // NOLINTNEXTLINE(bugprone-use-after-move): it is moved only when there is no status
  if (status) return operation->complete(*std::move(status));
  carry_out(next);
}

void stream_call::done(const grpc::Status& status) noexcept {
  auto& s = *state_;
  const auto self = std::move(s.self);
  const bool awaits_loss = s.call.ended(status);
  s.owner.reset();
  std::shared_ptr<status_operation> finished;
  bool context_is_unused = false;
  {
    const std::lock_guard lock(s.mutex);
    s.status = status;
    s.awaits_loss = awaits_loss;
    if (!awaits_loss) finished = std::move(s.finishing);
    context_is_unused = s.dropped && s.owns_context;
    s.done = true;
  }
  s.done.notify_all();
  if (awaits_loss) {
    s.call.await_loss([self] { self->loss_reported(); });
  } else {
    complete(finished, status);
    s.call.completed();
  }
  // The context may be the last owner of the gRPC channel.
  if (context_is_unused) completion_thread::instance().call_off_grpc_threads([self] { self->state_->context.close(); });
}

void stream_call::never_begun(grpc::Status status) {
  state_->status = std::move(status);
  state_->released = true;
  state_->done = true;
}

void stream_call::loss_reported() {
  auto& s = *state_;
  std::shared_ptr<status_operation> finished;
  grpc::Status status;
  {
    const std::lock_guard lock(s.mutex);
    s.awaits_loss = false;
    finished = std::move(s.finishing);
    if (finished) status = std::move(s.status);
  }
  complete(finished, std::move(status));
  s.call.completed();
}

void stream_call::drop() noexcept {
  auto& s = *state_;
  bool is_done = false;
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    s.dropped = true;
    is_done = s.done;
    next.cancel = !is_done;
    next.unhold = s.release() && !is_done;
  }
  carry_out(next);
  if (!s.owns_context && !s.done) {
    const callback_loop::waiting waits;
    s.done.wait(false);
  }
  if (!s.owns_context || is_done) s.context.close();
}

void stream_call::carry_out(const steps& now) {
  if (now.half_close) start_writes_done();
  if (now.discard) start_discarding_read();
  if (now.cancel) cancel();
  if (now.unhold) unhold();
}

// Any thread may come here, while another ends the call and destroys its context.
void stream_call::cancel() noexcept {
  const runtime::closable<call_context>::user context(state_->context);
  if (context && !state_->done) context->get().TryCancel();
}

// While the report of a loss is awaited, the status is known.
void stream_call::cancel_finish() noexcept {
  auto& s = *state_;
  std::shared_ptr<status_operation> finished;
  grpc::Status status;
  {
    const std::lock_guard lock(s.mutex);
    if (s.done) finished = std::move(s.finishing);
    if (finished) status = std::move(s.status);
  }
  complete(finished, std::move(status));
  if (!finished) cancel();
}

void stream_call::unhold() {
  if (state_->holds.fetch_sub(1) == 1) remove_hold();
}

namespace {

class failed_stream final : public stream_call {
 public:
  failed_stream(call_context context, grpc::Status status) : stream_call(kind::reads, std::move(context)) {
    never_begun(std::move(status));
  }
};

}  // namespace

std::shared_ptr<stream_call> make_failed_stream(call_context context, grpc::Status status) {
  return std::make_shared<failed_stream>(std::move(context), std::move(status));
}

}  // namespace conn_grpc::detail
