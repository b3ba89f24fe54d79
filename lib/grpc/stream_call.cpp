// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/stream_call.hpp>

#include "core/dispatch_permission.hpp"
#include "core/message_buffer.hpp"
#include "core/write_burst.hpp"
#include "grpc/callback_loop.hpp"
#include "grpc/completion_thread.hpp"
#include "grpc/monitored_call.hpp"
#include "runtime/bound_operation.hpp"
#include "runtime/closable.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

namespace conn_grpc::detail {
namespace {

// The handler may own the frame of a coroutine. Of that frame gRPC uses at most the
// ClientContext. The destructor of the stream, which is in the same frame, waits until gRPC
// has stopped using it. So the destruction of the handler's execution context waits for no
// callback here, unlike that of an RPC of unary.
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

}  // namespace

/// The steps that a thread carries out without the mutex.
struct stream_call::steps {
  std::optional<std::size_t> read;   // into this slot
  std::optional<std::size_t> write;  // from this slot
  bool more_follow = false;          // of these, at once
  bool half_close = false;
  bool discard = false;
  bool cancel = false;
  bool unhold = false;
};

// gRPC may end the call once nothing holds it. The user has a hold while operations may
// begin. A thread has a hold while it begins an operation. Callbacks need no hold.
//
// gRPC may call back from inside any call into it, on the same thread. So no call into
// gRPC is made with the mutex held.
struct stream_call::state {
  state(bool can_read, call_context&& used)
      : reads(can_read), used_context(used.get()), owns_context(used.is_owned()), context(std::move(used)) {}

  /// The user begins no more operations. True when the caller must give up the user's hold.
  bool release() { return !std::exchange(released, true); }

  /// The slot for the next reply, if gRPC should read one now.
  std::optional<std::size_t> begin_read() {
    if (released || receiving || discards || !replies.has_room()) return std::nullopt;
    receiving = true;
    return receiving_into = replies.begin();
  }

  /// gRPC must read a message that will be discarded.
  bool begin_discarding() {
    receiving = true;
    receiving_into.reset();
    return true;
  }

  /// `begin_read` on a thread of the user's, which needs a hold.
  void begin_read_outside(steps& next) {
    next.read = begin_read();
    next.unhold = next.read.has_value();
    if (next.unhold) holds.fetch_add(1);
  }

  /// gRPC will write the request that has waited longest.
  void begin_write(steps& next) {
    sending = true;
    next.write = requests.front();
    next.more_follow = more_follow = requests.has_several();
    burst.written();
  }

  /// During a burst requests are kept, unless the buffer is full, the user waits for room, or
  /// the user can write no more.
  [[nodiscard]] bool keeps_requests() const {
    return burst.is_open() && requests.has_room() && !writing && !released && !half_close_follows;
  }

  /// There are no more requests. gRPC sends the end now, or after the requests that wait.
  void end_requests(steps& next) {
    half_close_follows = sending || !requests.empty();
    if (!half_close_follows)
      next.half_close = sending = half_closed = true;
    else if (!sending)
      begin_write(next);
  }

  /// gRPC has ended the call, has reported the loss if there may be one, and all reads and
  /// writes have completed.
  [[nodiscard]] bool can_finish() const { return done && !awaits_loss && deferred_now == 0; }

  [[nodiscard]] bool accepts_requests() const {
    return !released && !write_begun && !half_closed && !half_close_follows && !write_failed;
  }

  const bool reads;
  grpc::ClientContext& used_context;
  const bool owns_context;
  runtime::closable<call_context> context;         // used for cancelling, and closed when gRPC and the user have ended
  runtime::closable<std::monostate> users_memory;  // where replies go, until the call is dropped
  monitored_call call;
  std::shared_ptr<stream_owner> owner;
  std::shared_ptr<stream_call> self;  // while gRPC has the call
  std::atomic<int> holds{1};
  std::atomic<bool> done{false};     // changes with the mutex held
  std::atomic<int> deferred_now{0};  // reads and writes

  std::mutex mutex;
  // All that follows is guarded by the mutex.
  core::message_buffer<slots> replies;   // not taken yet; only the user's thread pops, and may look at the front
  core::message_buffer<slots> requests;  // not written yet; gRPC writes the first, while `sending`
  core::write_burst burst;               // of requests
  bool more_follow = false;              // gRPC may keep what it writes until the next write
  std::shared_ptr<bool_operation> reading;
  std::shared_ptr<bool_operation> writing;  // its request waits, and leaves no room for another one
  std::shared_ptr<bool_operation> ending;   // the requests
  std::shared_ptr<status_operation> finishing;
  bool dropped = false;
  bool released = false;
  bool reply_in_use = false;                  // from the start of a read until its reply has been taken
  bool receiving = false;                     // gRPC reads a message
  std::optional<std::size_t> receiving_into;  // this slot, or null for a message that is discarded
  bool end_was_read = false;                  // by the user
  bool write_begun = false;                   // by the user, and not completed
  bool write_failed = false;
  bool sending = false;             // gRPC writes a message, or the end of the messages
  bool half_closed = false;         // the end of the messages has been written, or is being written
  bool half_close_follows = false;  // the end will be written after the messages that wait
  bool discards = false;            // replies that are still unread are discarded
  bool finish_called = false;
  bool awaits_loss = false;  // the connection may have been lost, and gRPC has not reported that yet
  grpc::Status status;       // once done
};

// Completes a read or a write when the callback of gRPC's that runs on this thread has returned.
class stream_call::deferred final : public deferred_completion {
 public:
  /// Does so at once when this thread runs no turn of an event loop.
  static void complete(stream_call& call, std::shared_ptr<bool_operation> pending, bool ok) {
    if (!pending) return;
    if (!callback_loop::is_in_turn()) return pending->complete(ok);
    call.state_->deferred_now.fetch_add(1);
    callback_loop::after_callback(std::make_shared<deferred>(call.shared_from_this(), std::move(pending), ok));
  }

  deferred(std::shared_ptr<stream_call> call, std::shared_ptr<bool_operation> pending, bool ok)
      : call_(std::move(call)), pending_(std::move(pending)), ok_(ok) {}

  void complete_deferred() override {
    const auto count_down = [](stream_call* call) {  // also when the handler throws
      if (call->state_->deferred_now.fetch_sub(1) == 1 && call->state_->done) call->complete_finish();
    };
    const std::unique_ptr<stream_call, decltype(count_down)> counted(call_.get(), count_down);
    pending_->complete(ok_);
  }

 private:
  const std::shared_ptr<stream_call> call_;
  const std::shared_ptr<bool_operation> pending_;
  const bool ok_;
};

stream_call::stream_call(kind what, call_context context)
    : state_(std::make_unique<state>(what == kind::reads, std::move(context))) {}

stream_call::~stream_call() = default;

grpc::ClientContext& stream_call::context() const noexcept { return state_->used_context; }

void stream_call::start(std::shared_ptr<stream_owner> owner, const std::function<void(grpc::ClientContext&)>& begin) {
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
  std::optional<bool> ok;  // none while a reply is awaited
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    const bool waits = !s.replies.empty();
    if (s.reply_in_use || s.finish_called) {
      ok = false;
    } else if (s.released && !waits) {
      s.end_was_read = true;
      ok = false;
    } else {
      s.reply_in_use = true;
      if (waits) {
        ok = true;
      } else {
        s.reading = operation;
        s.begin_read_outside(next);
      }
    }
  }
  carry_out(next);
  if (ok) operation->complete(*ok);
}

void stream_call::got(bool ok) noexcept {
  auto& s = *state_;
  std::shared_ptr<bool_operation> operation;
  steps next;
  // Both without the mutex: the user's thread does not change the slot while gRPC reads, and
  // the message's type may be the user's.
  const auto slot = s.receiving_into;
  const auto size = ok && slot ? reply_size(*slot) : 0;
  {
    const std::lock_guard lock(s.mutex);
    s.receiving = false;
    operation = std::move(s.reading);
    if (!ok && operation) s.end_was_read = true;
    next.unhold = !ok && s.release();
    if (next.unhold && !s.sending && !s.requests.empty()) s.begin_write(next);  // kept by a burst
    if (ok && slot) s.replies.push(size);
    if (ok && s.discards)
      next.discard = s.begin_discarding();
    else
      next.read = s.begin_read();
  }
  carry_out(next);
  deferred::complete(*this, std::move(operation), ok);
}

bool stream_call::take_reply(void* reply) {
  auto& s = *state_;
  try {
    const runtime::closable<std::monostate>::user writes(s.users_memory);
    if (!writes) return false;
    move_reply(s.replies.front(), reply);
  } catch (...) {
    reply_is_taken();
    throw;
  }
  reply_is_taken();
  return true;
}

void stream_call::reply_is_taken() {
  auto& s = *state_;
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    s.replies.pop();
    s.reply_in_use = false;
    if (s.replies.is_half_empty()) s.begin_read_outside(next);
  }
  carry_out(next);
}

void stream_call::take_only_reply() {
  const runtime::closable<std::monostate>::user writes(state_->users_memory);
  if (writes) move_only_reply();
}

void stream_call::write(bool_handler handler, asio::execution_context& handler_context, outgoing_message message) {
  auto operation =
      bool_operation::make(std::move(handler), handler_context, shared_from_this(), [](stream_call& c) { c.cancel(); });
  auto& s = *state_;
  const auto slot = [&]() -> std::optional<std::size_t> {
    const std::lock_guard lock(s.mutex);
    if (!s.accepts_requests()) return std::nullopt;
    s.holds.fetch_add(1);
    s.write_begun = true;
    return s.requests.begin();
  }();
  if (!slot) return operation->complete(false);
  const auto size = [&] {
    try {
      return store(*slot, message);
    } catch (...) {  // the message could not be copied
      {
        const std::lock_guard lock(s.mutex);
        s.write_begun = false;
      }
      unhold();
      throw;
    }
  }();
  std::optional<bool> ok;  // none while the write waits for room
  steps next;
  {
    const std::lock_guard lock(s.mutex);
    if (s.write_failed) {
      ok = false;
    } else {
      s.requests.push(size);
      s.burst.add();
      if (!s.sending && !s.keeps_requests()) s.begin_write(next);
      if (s.requests.has_room())
        ok = true;
      else
        s.writing = operation;
    }
    if (ok) s.write_begun = false;
    next.unhold = true;
  }
  carry_out(next);
  if (ok) operation->complete(*ok);
}

/// Queues a look at the kept requests, behind the handlers that are ready. Looks at once, for
/// the last time, when this thread runs no turn of a context, or there is no memory.
void stream_call::look_later() noexcept {
  bool is_queued = true;
  try {
    is_queued =
        callback_loop::call_behind([self = shared_from_this()](bool is_last) { self->look_at_requests(is_last); });
  } catch (...) {  // no memory
    is_queued = false;
  }
  if (!is_queued) look_at_requests(true);
}

void stream_call::look_at_requests(bool is_last) noexcept {
  using core::write_burst;
  auto& s = *state_;
  steps next;
  bool again = false;
  {
    const std::lock_guard lock(s.mutex);
    const bool are_kept = !s.sending && !s.released && !s.requests.empty();
    auto verdict = are_kept ? write_burst::verdict::write : write_burst::verdict::over;
    if (!is_last) verdict = s.burst.look(are_kept, write_burst::clock::now());
    if (verdict == write_burst::verdict::write) {
      s.begin_write(next);
      s.holds.fetch_add(1);
      next.unhold = true;
    }
    again = !is_last && verdict != write_burst::verdict::over;
    if (!again) s.burst.close();
  }
  carry_out(next);
  if (again) look_later();
}

void stream_call::writes_done(bool_handler handler, asio::execution_context& handler_context) {
  auto operation =
      bool_operation::make(std::move(handler), handler_context, shared_from_this(), [](stream_call& c) { c.cancel(); });
  auto& s = *state_;
  steps next;
  const auto accepted = [&] {
    const std::lock_guard lock(s.mutex);
    if (!s.accepts_requests()) return false;
    s.ending = operation;
    s.end_requests(next);
    // Without reads the user can begin no further operation.
    next.unhold = s.reads || s.release();
    if (s.reads) s.holds.fetch_add(1);
    return true;
  }();
  if (!accepted) return operation->complete(false);
  carry_out(next);
}

/// gRPC has written a message, or the end of the messages.
void stream_call::wrote(bool ok) noexcept {
  auto& s = *state_;
  std::shared_ptr<bool_operation> written;
  std::shared_ptr<bool_operation> ended;
  steps next;
  bool opens_burst = false;
  {
    const std::lock_guard lock(s.mutex);
    s.sending = false;
    if (s.half_closed || !ok) ended = std::move(s.ending);
    if (!ok) {
      s.write_failed = true;
      s.requests.clear();
      // With reads, the user may still read messages of the server.
      next.unhold = !s.reads && s.release();
    } else if (!s.half_closed) {
      s.requests.pop();
      opens_burst = s.requests.empty() && !s.half_close_follows && !s.released && !s.burst.is_open() &&
                    callback_loop::is_in_turn();
      if (opens_burst) s.burst.open();
      if (s.half_close_follows)
        s.end_requests(next);
      else if (!s.requests.empty() && (s.more_follow || !s.keeps_requests()))
        s.begin_write(next);
    }
    if (s.writing && (!ok || s.requests.is_half_empty())) {
      written = std::move(s.writing);
      s.write_begun = false;
    }
  }
  carry_out(next);
  deferred::complete(*this, std::move(written), ok);
  deferred::complete(*this, std::move(ended), ok);
  if (opens_burst) look_later();
}

void stream_call::finish(status_handler handler, asio::execution_context& handler_context) {
  auto operation = status_operation::make(std::move(handler), handler_context, shared_from_this(),
                                          [](stream_call& c) { c.cancel_finish(); });
  auto& s = *state_;
  steps next;
  std::optional<grpc::Status> status;  // none while it is awaited
  {
    const std::lock_guard lock(s.mutex);
    if (s.finish_called) {
      status.emplace(grpc::StatusCode::FAILED_PRECONDITION, "finish() was called before");
    } else if (s.can_finish()) {
      status = std::move(s.status);
    } else {
      s.finishing = std::move(operation);
      if (!s.released && !s.reads) s.end_requests(next);
      // After a failed write the server has ended the call, and its status follows its
      // messages.
      if (!s.released && s.reads && s.write_failed) {
        s.discards = true;
        if (!s.receiving) next.discard = s.begin_discarding();  // otherwise it follows when gRPC has read
      }
      // gRPC may have read ahead to a reply that cannot be parsed, which does not end the call.
      next.cancel = s.reads && !s.write_failed && !s.end_was_read;
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
  if (s.owner) s.owner->ended(status);
  s.owner.reset();
  bool context_is_unused = false;
  {
    const std::lock_guard lock(s.mutex);
    s.status = status;
    s.awaits_loss = awaits_loss;
    context_is_unused = s.dropped && s.owns_context;
    s.done = true;
  }
  s.done.notify_all();
  if (awaits_loss) {
    s.call.await_loss([self] { self->loss_reported(); });
  } else {
    complete_finish();
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
  {
    const std::lock_guard lock(s.mutex);
    s.awaits_loss = false;
  }
  complete_finish();
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
  s.users_memory.close();  // waits for a thread that moves a reply
  carry_out(next);
  if (!s.owns_context && !s.done) {
    const callback_loop::waiting waits;
    s.done.wait(false);
  }
  if (!s.owns_context || is_done) s.context.close();
}

void stream_call::carry_out(const steps& now) {
  if (now.read) start_read(*now.read);
  if (now.write) start_write(*now.write, now.more_follow);
  if (now.half_close) start_writes_done();
  if (now.discard) start_discarding_read();
  if (now.cancel) cancel();
  if (now.unhold) unhold();
}

// Any thread may call this while another thread ends the call and destroys its context.
void stream_call::cancel() noexcept {
  const runtime::closable<call_context>::user context(state_->context);
  if (context && !state_->done) context->get().TryCancel();
}

// Once gRPC has ended the call, the status is known. So `finish` does not wait for anything else.
void stream_call::cancel_finish() noexcept {
  if (!complete_finish(true)) cancel();
}

/// Completes `finish` if `can_finish()`. Otherwise what it waits for calls this again. The handler
/// is posted, because handlers of reads and writes may have been posted before.
/// @param at_once It is enough that gRPC has ended the call.
/// @returns false while gRPC has not ended the call.
bool stream_call::complete_finish(bool at_once) noexcept {
  auto& s = *state_;
  std::shared_ptr<status_operation> finished;
  grpc::Status status;
  {
    const std::lock_guard lock(s.mutex);
    if (!s.done) return false;
    if (at_once || s.can_finish()) finished = std::move(s.finishing);
    if (finished) status = std::move(s.status);
  }
  const core::dispatch_permission none;
  if (finished) finished->complete(std::move(status));
  return true;
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
