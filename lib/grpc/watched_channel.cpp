// SPDX-License-Identifier: BSL-1.0
#include "grpc/watched_channel.hpp"

#include "grpc/completion_thread.hpp"
#include "grpc/failure_reason.hpp"
#include "grpc/grpc_time.hpp"

#include <grpc/support/time.h>

#include <chrono>
#include <new>
#include <utility>

namespace conn_grpc::detail {

using runtime::connection_state;

namespace {

// Longer than gRPC's own limit for a certificate fetch, which does not end a fetch whose
// verifier has not answered yet.
constexpr std::chrono::milliseconds time_for_certificate_fetch{1'500};

// Longer than gRPC takes to begin an attempt.
constexpr std::chrono::milliseconds time_to_begin_attempt{50};

}  // namespace

class watched_channel::watch final : public pending_completion {
 public:
  watch(std::shared_ptr<watched_channel> watched, grpc_connectivity_state last)
      : watched_(std::move(watched)), last_(last) {}
  void complete(bool in_time) noexcept override { watched_->changed_from(last_, in_time); }

 private:
  std::shared_ptr<watched_channel> watched_;
  grpc_connectivity_state last_;
};

class watched_channel::loss_watch final : public pending_completion {
 public:
  loss_watch(std::shared_ptr<watched_channel> watched, std::function<void()> then)
      : watched_(std::move(watched)), then_(std::move(then)) {}

  void complete(bool) noexcept override {
    if (!watched_->notice_loss()) watched_->monitor_->dismiss_reason();
    then_();
  }

 private:
  std::shared_ptr<watched_channel> watched_;
  std::function<void()> then_;
};

// gRPC is never called with mutex_ held: in any call it may run callbacks, also the
// user's.

void watched_channel::start() {
  next_attempt_of_grpc_ = after(options_->first_backoff);
  begin();
}

void watched_channel::begin() {
  const auto channel = current();
  if (!channel) return;
  switch (channel->GetState(false)) {
    case GRPC_CHANNEL_TRANSIENT_FAILURE:  // a lame channel: it never changes, so a watch would never complete
      return ask_for_reason();
    case GRPC_CHANNEL_SHUTDOWN: {  // an in-process channel: it has no connection that could be lost, or watched
      const std::lock_guard lock(mutex_);
      state_ = connection_state::connected;
      return;
    }
    default:
      // The watch comes first. If it began later, the channel could have connected, lost
      // its connection and become idle again. Then the watch would never complete.
      wait_for_change_from(channel, GRPC_CHANNEL_IDLE);
      channel->GetState(true);
  }
}

void watched_channel::abandon() noexcept {
  // Destroyed without the lock, because a channel takes long to close.
  channel_ptr dropped;
  std::shared_ptr<health_watch> health;
  std::shared_ptr<const runtime::connection_observer> changed;
  {
    const std::lock_guard lock(mutex_);
    changed.swap(changed_);
    if (state_ == connection_state::connecting && !health_) {
      // After the time that gRPC gives one address it continues with the next address, and
      // would try all of them. Half of that time is added. Otherwise the channel could be
      // dropped when the attempt at the next address has just begun.
      abandoned_until_ = after(options_->connect_timeout / 2 * 3);
    } else {
      dropped.swap(channel_);
      health.swap(health_);
      unmonitored_.reset();
    }
  }
  if (health) health->cancel();
  const auto channel = current();
  if (!channel || !is_abandoned()) return;
  // This watch ends at `abandoned_until_`. A watch from READY has no deadline.
  try {
    const auto now = channel->GetState(false);
    wait_for_change_from(channel, now == GRPC_CHANNEL_READY ? GRPC_CHANNEL_CONNECTING : now);
  } catch (const std::bad_alloc&) {  // then it is dropped when gRPC has ended the attempt
  }
}

std::string watched_channel::failure() const {
  auto why = words_of_grpc();
  if (why.empty()) return words_of_silent_health_service();
  const auto proxy = options_->proxy_for(address_);
  return proxy.empty() ? why : why + " (" + proxy + ")";
}

std::string watched_channel::words_of_silent_health_service() const {
  const std::lock_guard lock(mutex_);
  if (!health_ || state_ != connection_state::connecting) return {};
  return "connected, but no answer of the health service \"" + options_->health_service.value_or("") + "\"";
}

channel_ptr watched_channel::channel() const {
  const std::lock_guard lock(mutex_);
  return state_ == connection_state::connected ? channel_ : nullptr;
}

runtime::connection_loss watched_channel::loss() const {
  // gRPC gives no other reason.
  auto loss = monitor_ ? monitor_->loss() : runtime::connection_loss{.reason = "closed by the peer"};
  loss.reconnects = monitor_ && loss.kind != runtime::loss_kind::broken && reconnects();
  if (loss.reason.starts_with("closed by the peer")) {
    if (loop_ != nullptr && callback_loop::current().get() != loop_)
      loss.reason = "its event_engine_scope has ended";
    else if (options_->sends_keepalive)
      loss.reason += "; or by keepalive, which got no answer";
  }
  return loss;
}

monitored_channel watched_channel::take_idle_channel() {
  const std::lock_guard lock(mutex_);
  if (state_ != connection_state::lost) return {};
  return {.channel = std::exchange(channel_, nullptr), .monitor = monitor_};
}

void watched_channel::wait_for_change_from(const channel_ptr& channel, grpc_connectivity_state last) {
  const auto deadline = deadline_of_change_from(last);
  completion_thread::instance().submit(
      std::make_unique<watch>(shared_from_this(), last),
      [&](::grpc::CompletionQueue* queue, void* tag) { channel->NotifyOnStateChange(last, deadline, queue, tag); });
}

gpr_timespec watched_channel::deadline_of_change_from(grpc_connectivity_state last) const {
  if (last == GRPC_CHANNEL_READY) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  if (is_certificate_fetch()) return after(time_for_certificate_fetch);
  return locked(abandoned_until_).value_or(after(options_->attempt_limit));
}

void watched_channel::changed_from(grpc_connectivity_state last, bool in_time) {
  const auto channel = current();
  if (!channel) return;
  const auto now = last == GRPC_CHANNEL_READY ? GRPC_CHANNEL_IDLE : channel->GetState(false);
  if (is_abandoned()) {
    const bool connecting = now == GRPC_CHANNEL_CONNECTING && in_time;
    return connecting ? wait_for_change_from(channel, now) : end(connection_state::failed);
  }
  if (!in_time && is_certificate_fetch()) return failed({});
  switch (now) {
    case GRPC_CHANNEL_CONNECTING:
      return wait_for_change_from(channel, now);
    case GRPC_CHANNEL_READY:
      return connected(channel);
    case GRPC_CHANNEL_IDLE:
      return end(connection_state::lost);
    case GRPC_CHANNEL_TRANSIENT_FAILURE:
    case GRPC_CHANNEL_SHUTDOWN:
      return ask_for_reason();
  }
}

void watched_channel::connected(const channel_ptr& channel) {
  // A certificate fetch verifies nothing, so its channel must not be handed out, even
  // when it has connected.
  if (is_certificate_fetch()) return end(connection_state::failed);
  if (monitor_) monitor_->follow(weak_from_this());
  const auto health = make_health_watch(channel);
  std::shared_ptr<const runtime::connection_observer> changed;
  {
    const std::lock_guard lock(mutex_);
    if (!abandoned_until_) {
      if (!health) state_ = connection_state::connected;
      health_ = health;
      if (!monitor_) unmonitored_.emplace();
      changed = changed_;
    }
  }
  if (!changed) return end(connection_state::failed);
  wait_for_change_from(channel, GRPC_CHANNEL_READY);
  if (health) return health->start();
  (*changed)(runtime::connection_change::other);
}

std::shared_ptr<health_watch> watched_channel::make_health_watch(const channel_ptr& channel) {
  const auto& service = options_->health_service;
  if (!service) return nullptr;
  return std::make_shared<health_watch>(channel, *service, [weak = weak_from_this()](std::string why_not_serving) {
    if (const auto self = weak.lock()) self->health_changed(std::move(why_not_serving));
  });
}

void watched_channel::health_changed(std::string why_not_serving) {
  const bool serves = why_not_serving.empty();
  std::shared_ptr<const runtime::connection_observer> changed;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == connection_state::connecting) state_ = connection_state::connected;  // the first answer
    if (state_ != connection_state::connected) return;
    not_serving_ = std::move(why_not_serving);
    changed = changed_;
  }
  using runtime::connection_change;
  if (changed) (*changed)(serves ? connection_change::other : connection_change::unusable);
}

void watched_channel::ask_for_reason() {
  if (const auto channel = current())
    ask_for_failure_reason(channel, [self = shared_from_this()](const std::string& reason) { self->failed(reason); });
}

// On the completion thread.
void watched_channel::failed(const std::string& reason) {
  const auto& diagnosis = options_->diagnosis;
  if (!diagnosis || is_abandoned()) return end(connection_state::failed, reason);
  const auto end_with = [self = shared_from_this()](std::string explained) {
    self->end(connection_state::failed, std::move(explained));
  };
  if (const auto first = words_of_grpc(); !first.empty()) return diagnosis->explain(first, reason, end_with);
  auto certificate_fetch = diagnosis->certificate_fetch(address_, reason);
  if (!certificate_fetch) return diagnosis->explain(reason, {}, end_with);
  {
    const std::lock_guard lock(mutex_);
    if (!channel_) return;
    failure_ = reason;
    channel_.swap(certificate_fetch);
  }
  certificate_fetch.reset();
  begin();
}

void watched_channel::call_was_unavailable() {
  const std::lock_guard lock(mutex_);
  if (state_ == connection_state::lost) reconnects_ = false;
}

bool watched_channel::notice_loss() {
  if (const auto channel = current(); channel && state() == connection_state::connected) {
    if (channel->GetState(false) == GRPC_CHANNEL_READY) return false;
    end(connection_state::lost);
  }
  report_loss();  // another thread may have noticed the loss, and not reported it yet, or without this reason
  return true;
}

void watched_channel::report_loss() {
  std::shared_ptr<const runtime::connection_observer> changed;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == connection_state::lost) changed = changed_;
  }
  if (!changed) return;
  const bool is_final = !loss().reconnects;
  (*changed)(is_final ? runtime::connection_change::unusable : runtime::connection_change::idle);
  if (!is_final) return;  // an RPC may still end with the connection
  const std::lock_guard lock(mutex_);
  changed_.reset();
  unmonitored_.reset();
}

// When the server itself has sent the words of a loss, the RPCs of the connection that end
// within this time complete that much later.
void watched_channel::await_loss(std::shared_ptr<watched_channel> lost, const std::function<void()>& then) {
  auto channel = lost->current();
  if (!channel) return then();
  auto pending = std::make_unique<loss_watch>(lost, then);
  const bool is_pending =
      completion_thread::instance().submit(std::move(pending), [&](::grpc::CompletionQueue* queue, void* tag) {
        channel->NotifyOnStateChange(GRPC_CHANNEL_READY, after(time_to_notice_loss), queue, tag);
      });
  if (!is_pending) return then();  // the process is exiting
  // The caller of the RPC may have continued meanwhile, and destroyed every other owner of the
  // channel.
  try {
    completion_thread::instance().call_off_grpc_threads([released = std::move(channel), owner = std::move(lost)] {});
  } catch (const std::bad_alloc&) {  // then it is released here
  }
}

void watched_channel::end(connection_state outcome, std::string failure) {
  // An RPC on an idle channel makes gRPC connect again. In TRANSIENT_FAILURE it fails.
  const auto channel = outcome == connection_state::lost ? current() : nullptr;
  const auto now = channel ? channel->GetState(false) : GRPC_CHANNEL_SHUTDOWN;
  channel_ptr dropped;
  std::shared_ptr<health_watch> health;
  std::shared_ptr<const runtime::connection_observer> changed;
  {
    const std::lock_guard lock(mutex_);
    if (!channel_ || state_ == connection_state::lost) return;
    health.swap(health_);
    state_ =
        failure_.empty() ? outcome : connection_state::failed;  // also when a certificate fetch has ended otherwise
    if (!failure.empty()) failure_ = std::move(failure);
    reconnects_ = now != GRPC_CHANNEL_TRANSIENT_FAILURE && now != GRPC_CHANNEL_SHUTDOWN;
    if (state_ == connection_state::failed) dropped.swap(channel_);
    if (state_ == connection_state::failed) changed.swap(changed_);
  }
  if (health) health->cancel();
  // gRPC begins its next attempt as soon as its own backoff is over, counted from the
  // beginning of the last attempt. A channel that is dropped at the beginning of an
  // attempt leaves the socket open for ever. A moment later it does not.
  if (dropped && gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), next_attempt_of_grpc_) >= 0)
    completion_thread::instance().call_later(time_to_begin_attempt, [dropped] {});
  dropped.reset();  // before another attempt begins
  if (changed) (*changed)(runtime::connection_change::other);
  report_loss();
}

}  // namespace conn_grpc::detail
