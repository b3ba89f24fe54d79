// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"
#include "runtime/channel_listeners.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/connector.hpp"
#include "runtime/deadline.hpp"
#include "runtime/member.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// What the actors of a pool share.
template <class Clock>
struct actor_environment {
  const checked_pool_options& options;
  const connector& connects;
  channel_picker<Clock>& picker;
  std::uint64_t& next_connection;  // connections are numbered in the pool; on the strand
  /// Makes the observer of one connection of a slot. The observer withdraws a lost
  /// connection on the calling thread, and posts a `recheck()` to the strand.
  std::function<connection_observer(std::size_t slot, std::uint64_t connection)> observer_of;
};

/// One channel, from its first attempt to its stop. `slot()` and `status()` are
/// thread-safe, the other functions are for the strand.
template <class Clock>
class channel_actor {
 public:
  channel_actor(const actor_environment<Clock>& environment, std::shared_ptr<const channel_identity> channel)
      : environment_(environment), channel_(std::move(channel)), listeners_(environment.options, channel_) {}

  channel_actor(const channel_actor&) = delete;
  channel_actor& operator=(const channel_actor&) = delete;
  ~channel_actor() = default;

  /// Connects, serves and connects again until `stop()`. An exception of user code
  /// withdraws the channel and ends `run()`. It may be run again.
  strand_awaitable<> run() {
    const auto backoff = make_backoff();
    reusable_.reset();  // left by a run that user code ended
    while (!stopping_) {
      // An attempt takes half a millisecond of the strand, inside gRPC. Losses that are
      // already reported are handled first.
      co_await boost::asio::post(boost::asio::deferred);
      if (stopping_) break;
      auto next = retry::after_backoff;
      if (auto made = co_await connect(); made.session) next = co_await serve(std::move(made), *backoff);
      if (!stopping_) co_await wait_for(next, *backoff);
    }
    reusable_.reset();
    notify({.what = step::stopped});
  }

  void stop() {
    stopping_ = true;
    recheck();
  }

  /// The state of a connection may have changed.
  void recheck() { state_changed_.notify(); }

  [[nodiscard]] std::size_t slot() const { return channel_->slot; }
  [[nodiscard]] channel_status status() const { return listeners_.status(); }
  void notify(const channel_transition& made) { listeners_.notify(made); }

 private:
  using step = channel_transition::step;
  using session_type = connection_session<Clock>;
  using time_point = typename Clock::time_point;

  /// When the next attempt begins.
  enum class retry {
    at_once,        // after a connection that lived for `stable_after`
    paced,          // after a shorter one, closed in order: at once, but at most twice per `stable_after`
    after_backoff,  // after any other, and after a failed attempt
  };

  struct attempt {
    std::unique_ptr<session_type> session;  // null when the attempt failed
    std::chrono::nanoseconds took;
  };

  [[nodiscard]] const checked_pool_options& options() const { return environment_.options; }
  [[nodiscard]] channel_picker<Clock>& picker() const { return environment_.picker; }

  std::unique_ptr<conn_grpc::backoff> make_backoff() const {
    return call_user("make_backoff", [this] {
      auto policy = options().make_backoff(options().backoff);
      if (!policy) throw std::invalid_argument("it returned null");
      return policy;
    });
  }

  strand_awaitable<attempt> connect() {
    notify({.what = step::connecting});
    const auto begin = Clock::now();
    const auto deadline = deadline_after<Clock>(options().attempt_limit);
    auto session = begin_session();
    while (session->is_connecting() && !stopping_ && Clock::now() < deadline)
      co_await state_changed_.wait_until(deadline);

    const std::chrono::nanoseconds took = Clock::now() - begin;
    if (stopping_) {
      session.reset();
    } else if (!session->is_connected()) {
      closes_in_order_ = false;
      notify({.what = step::connect_failed, .took = took, .reason = session->failure(options().attempt_limit)});
      session.reset();
    }
    co_return attempt{std::move(session), took};
  }

  std::unique_ptr<session_type> begin_session() {
    const auto id = environment_.next_connection++;
    auto changed = environment_.observer_of(slot(), id);
    auto connection = call_user("create_channel", [&] {
      return environment_.connects.connect(channel_->address, std::move(changed), std::exchange(reusable_, nullptr));
    });
    return std::make_unique<session_type>(std::move(connection), channel_, id, picker());
  }

  /// Publishes the channel, until the connection is lost or `stop()` is called.
  strand_awaitable<retry> serve(attempt made, conn_grpc::backoff& backoff) {
    auto& session = *made.session;
    const auto begin = Clock::now();
    call_user("backoff.reset", [&] { backoff.reset(); });
    if (!session.publish()) {  // the connection was lost meanwhile
      closes_in_order_ = false;
      notify({.what = step::connect_failed, .took = made.took, .reason = session.failure(options().attempt_limit)});
      co_return retry::after_backoff;
    }
    notify({.what = step::connected, .took = made.took, .at = steady(begin)});
    if (session.is_connected()) picker().serve_waiters();  // after the status has changed: the waiters may read it
    auto thrown = thrown_by("on_connect", options().on_connect);
    while (!thrown && !stopping_ && session.is_connected()) co_await state_changed_.wait();
    session.withdraw();

    const std::chrono::nanoseconds up = Clock::now() - begin;
    if (!thrown) co_await await_reason(session);
    const auto loss = stopping_ ? connection_loss{.reason = "stopped"}
                      : thrown  ? connection_loss{.reason = core::exception_text(thrown)}
                                : session.loss();
    auto reusable = session.release();
    if (!stopping_ && !thrown) reusable_ = std::move(reusable);
    reusable.reset();
    notify({.what = stopping_ ? step::released : step::lost, .took = up, .reason = loss.reason});
    if (!thrown) thrown = thrown_by("on_disconnect", options().on_disconnect);
    notify({.what = step::disconnected, .took = up, .reason = loss.reason});
    // A caller that is taking the channel needs nanoseconds, unless its thread is not
    // running.
    while (!picker().reclaim()) co_await state_changed_.wait_until(Clock::now() + std::chrono::milliseconds(1));
    if (thrown) std::rethrow_exception(thrown);
    if (loss.kind != loss_kind::unknown) closes_in_order_ = loss.kind == loss_kind::orderly;
    if (std::chrono::floor<std::chrono::milliseconds>(up) >= options().stable_after) co_return retry::at_once;

    co_return closes_in_order_ ? retry::paced : retry::after_backoff;
  }

  /// An RPC that ends with the connection may end a moment later. Its status decides
  /// about the next attempt.
  strand_awaitable<> await_reason(const session_type& lost) {
    const auto end = deadline_after<Clock>(std::chrono::milliseconds(20));
    while (!stopping_ && lost.may_know_more() && Clock::now() < end)
      co_await state_changed_.wait_until((std::min)(end, Clock::now() + std::chrono::milliseconds(1)));
  }

  strand_awaitable<> wait_for(retry next, conn_grpc::backoff& backoff) {
    if (next == retry::at_once) co_return;
    if (next == retry::paced && Clock::now() >= next_paced_attempt_) {
      next_paced_attempt_ = deadline_after<Clock>(options().stable_after / 2);
      co_return;
    }
    co_await back_off(call_user("backoff.next", [&] { return backoff.next(); }));
  }

  strand_awaitable<> back_off(std::chrono::milliseconds delay) {
    const auto until = deadline_after<Clock>(delay);
    notify({.what = step::backing_off, .at = steady(until), .delay = delay});
    while (!stopping_ && Clock::now() < until) co_await state_changed_.wait_until(until);
  }

  /// Returns the callback's exception instead of throwing it, because the channel must be
  /// withdrawn first.
  static std::exception_ptr thrown_by(std::string_view where, const std::function<void()>& callback) {
    try {
      if (callback) call_user(where, callback);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  static channel_transition::time_point steady(time_point when) {
    return channel_transition::time_point(when.time_since_epoch());
  }

  const actor_environment<Clock>& environment_;
  const std::shared_ptr<const channel_identity> channel_;
  channel_listeners listeners_;
  std::shared_ptr<void> reusable_;  // left by the connection that was lost, for the next attempt
  bool closes_in_order_ = false;    // true when the last loss of a known kind was orderly; false after a failed attempt
  time_point next_paced_attempt_ = (time_point::min)();
  condition<Clock> state_changed_;
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
