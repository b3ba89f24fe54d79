// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"
#include "runtime/actor_environment.hpp"
#include "runtime/attempt_limiter.hpp"
#include "runtime/channel_listeners.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/connection_attempt.hpp"
#include "runtime/connection_session.hpp"
#include "runtime/connector.hpp"
#include "runtime/deadline.hpp"
#include "runtime/member.hpp"
#include "runtime/replacement_plan.hpp"
#include "runtime/retry_rule.hpp"
#include "runtime/served_health.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// One channel, from its first attempt to its stop. `slot()` and `status()` are
/// thread-safe, the other functions are for the strand.
template <class Clock>
class channel_actor {
 public:
  channel_actor(const actor_environment<Clock>& environment, std::shared_ptr<const channel_identity> channel)
      : environment_(environment),
        channel_(std::move(channel)),
        listeners_(environment.options, channel_),
        retry_rule_(environment.options.stable_after),
        plan_(environment.options.max_connection_age, environment.options.stable_after) {}

  channel_actor(const channel_actor&) = delete;
  channel_actor& operator=(const channel_actor&) = delete;
  ~channel_actor() = default;

  /// Connects, serves and connects again until `stop()`. An exception of user code
  /// withdraws the channel and ends `run()`. It may be run again.
  strand_awaitable<> run() {
    const auto strand = co_await boost::asio::this_coro::executor;
    strand_ = &strand;
    const auto backoff = make_backoff();
    reusable_.reset();  // left by a run that user code ended
    attempt next;       // under way when it was to replace a connection that has been lost meanwhile
    try {
      while (!stopping_) {
        // An attempt takes half a millisecond of the strand, inside gRPC. Losses that are
        // already reported are handled first.
        co_await boost::asio::post(boost::asio::deferred);
        if (stopping_) break;
        auto when = retry::after_backoff;
        const bool has_connected = co_await connect(next);
        if (has_connected) when = co_await serve(next, *backoff);
        if (!stopping_ && !next && !retry_rule_.begins_now(when)) co_await back_off(*backoff, !has_connected);
      }
    } catch (...) {
      end(next);
      throw;
    }
    end(next);
    reusable_.reset();
    notify({.what = step::stopped});
  }

  /// @param why the reason in the event of the connection that ends.
  void stop(std::string_view why = "stopped") {
    if (!stopping_) stop_reason_ = why;
    stopping_ = true;
    recheck();
  }

  /// Connects again, and then withdraws the connection. Without a connection this has no
  /// effect.
  /// @param is_suspect true when the connection must not serve even if connecting fails.
  void replace(std::string_view why, bool is_suspect) {
    if (!serves_) return;
    plan_.wish(why, is_suspect);
    recheck();
  }

  /// The address can be reached. Ends the backoff that followed a failed attempt.
  void end_backoff() {
    if (std::exchange(waits_for_address_, false)) recheck();
  }

  /// The state of a connection may have changed.
  void recheck() { state_changed_.notify(); }

  [[nodiscard]] std::size_t slot() const { return channel_->slot; }
  [[nodiscard]] const std::string& address() const { return channel_->address; }
  [[nodiscard]] bool is_stopping() const { return stopping_; }
  /// True when its coroutine has ended, for good.
  [[nodiscard]] bool has_ended() const { return has_ended_; }
  void set_ended() { has_ended_ = true; }
  /// True while it waits after a failed attempt.
  [[nodiscard]] bool waits_for_address() const { return waits_for_address_; }
  /// True when its first attempt has ended.
  [[nodiscard]] bool has_settled() const { return has_settled_; }
  /// True while its connection is handed out.
  [[nodiscard]] bool serves() const { return serves_ && serves_->is_serving(); }
  /// True while this channel is handed out, or its connection is unhealthy.
  [[nodiscard]] bool serves(const ::grpc::Channel* channel) const { return serves_ && serves_->has_published(channel); }
  [[nodiscard]] channel_status status() const { return listeners_.status(); }
  void notify(const channel_transition& made) { listeners_.notify(made); }

 private:
  using step = channel_transition::step;
  using session_type = connection_session<Clock>;
  using time_point = typename Clock::time_point;
  using attempt = connection_attempt<Clock>;

  /// A connection that is handed out, or was.
  struct served {
    std::unique_ptr<session_type> session;
    time_point connected_at;
    std::chrono::nanoseconds took{};
    bool on_connect_returned = false;
    bool has_ended = false;
    std::chrono::nanoseconds up{};  // how long it lived, once it has ended
    std::string end;                // why it ended
  };

  /// Clears the pointer at its end, however the serving ends.
  class serving_scope {
   public:
    explicit serving_scope(session_type*& serves) : serves_(serves) {}
    ~serving_scope() { serves_ = nullptr; }
    serving_scope(const serving_scope&) = delete;
    serving_scope& operator=(const serving_scope&) = delete;

   private:
    session_type*& serves_;
  };

  [[nodiscard]] const checked_pool_options& options() const { return environment_.options; }
  [[nodiscard]] channel_picker<Clock>& picker() const { return environment_.picker; }
  [[nodiscard]] attempt_limiter<Clock>& attempts() const { return environment_.attempts; }

  std::unique_ptr<conn_grpc::backoff> make_backoff() const {
    return call_user("make_backoff", [this] {
      auto policy = options().make_backoff(options().backoff);
      if (!policy) throw std::invalid_argument("it returned null");
      return policy;
    });
  }

  /// @param begun an attempt that goes on, or none. None at the end, unless it has
  /// succeeded.
  strand_awaitable<bool> connect(attempt& begun) {
    if (begun.is_under_way(*strand_, state_changed_)) notify({.what = step::still_connecting});
    {
      typename attempt_limiter<Clock>::place place(attempts(), state_changed_);
      while (!begun && !stopping_) {
        if (auto permit = place.request())
          begun = begin_attempt(std::move(permit), std::exchange(reusable_, nullptr));
        else
          co_await state_changed_.wait();
      }
    }
    while (!stopping_ && begun.is_under_way(*strand_, state_changed_))
      co_await state_changed_.wait_until(begun.deadline());
    end(begun);
    const bool succeeded = !stopping_ && begun.has_succeeded();
    if (!stopping_ && !succeeded) fail(begun);
    if (!succeeded) begun = {};
    co_return succeeded;
  }

  attempt begin_attempt(typename attempt::permit_type permit, std::shared_ptr<void> reusable,
                        const std::string& replaces = {}) {
    notify({.what = step::connecting, .reason = replaces, .is_serving = !replaces.empty()});
    const auto begin = Clock::now();
    const auto id = environment_.counters.next_connection++;
    auto changed = environment_.observer_of(slot(), id);
    auto connection = call_user("create_channel", [&] {
      return environment_.connects.connect(channel_->address, std::move(changed), std::move(reusable));
    });
    auto session = std::make_unique<session_type>(std::move(connection), channel_, id, picker());
    return attempt(options(), std::move(session), std::move(permit), begin, replaces);
  }

  void end(attempt& ended) {
    ended.end();
    attempts().notify_next();
  }

  void fail(const attempt& failed, bool is_serving = false) {
    if (!is_serving) retry_rule_.attempt_failed();
    has_settled_ = true;
    const auto reason = failed.failure();
    notify({.what = step::connect_failed, .took = failed.took(), .reason = reason, .is_serving = is_serving});
    environment_.attempt_ended(*channel_, false);
  }

  /// @param to becomes the connection of the attempt, which becomes none.
  /// @return false, without effect, when the connection is not connected any more.
  bool publish(attempt& made, conn_grpc::backoff& backoff, served& to) {
    call_user("backoff.reset", [&] { backoff.reset(); });
    const auto now = Clock::now();
    if (!made.session().publish()) return false;
    to = {.session = made.release_session(), .connected_at = now, .took = made.took(), .end = {}};
    return true;
  }

  /// Publishes the connection and then its replacements, until the last one is lost or
  /// `stop()` is called.
  /// @param next the connection. At the end the attempt that was to replace the last
  /// connection, if that has not ended.
  strand_awaitable<retry> serve(attempt& next, conn_grpc::backoff& backoff) {
    served current;
    if (!publish(next, backoff, current)) {  // the connection was lost meanwhile
      fail(next);
      next = {};
      co_return retry::after_backoff;
    }
    next = {};
    std::exception_ptr thrown;
    served replaced;
    const auto serving_ends = serving_scope(serves_);
    for (;;) {
      begin_serving(current);
      thrown = thrown_by("on_connect", options().on_connect);
      current.on_connect_returned = !thrown;
      if (replaced.session) co_await finish(replaced, thrown);
      if (thrown || stopping_) break;
      served replacement;
      try {
        const bool is_replaced = co_await await_replacement(current, backoff, next, replacement);
        if (!is_replaced) break;
      } catch (...) {
        thrown = std::current_exception();
        break;
      }
      end_serving(current, next.replaces());
      next = {};
      replaced = std::exchange(current, std::move(replacement));
    }
    serves_ = nullptr;
    current.session->withdraw();

    if (!thrown) co_await await_reason(*current.session);
    note_end(current);
    const bool is_suspect = !stopping_ && !thrown && current.session->is_connected();
    const auto loss = loss_of(*current.session, thrown);
    auto reusable = current.session->take_reusable(false);
    current.session.reset();
    if (reusable && !stopping_ && !thrown && !next) reusable_ = std::move(reusable);
    reusable.reset();
    current.end = loss.reason;
    notify({.what = stopping_ ? step::released : step::lost, .took = current.up, .reason = current.end});
    co_await finish(current, thrown);
    if (thrown) std::rethrow_exception(thrown);
    const auto when = retry_rule_.after(loss.kind, current.up);
    co_return is_suspect ? retry::after_backoff : when;
  }

  void begin_serving(const served& begun) {
    serves_ = begun.session.get();
    plan_.begin(begun.connected_at);
    has_settled_ = true;
    notify({.what = step::connected, .took = begun.took, .at = steady(begun.connected_at)});
    environment_.attempt_ended(*channel_, true);
    health_.begin();
    follow_health(*begun.session);
    if (begun.session->is_connected()) picker().serve_waiters();  // after the status has changed: they may read it
  }

  /// The connection has ended now, unless its end was noticed before.
  static void note_end(served& ended) {
    if (!std::exchange(ended.has_ended, true)) ended.up = Clock::now() - ended.connected_at;
  }

  /// Reports the end of a connection that has been replaced.
  void end_serving(served& replaced, const std::string& why) {
    note_end(replaced);
    const bool is_lost = !replaced.session->is_connected();
    replaced.end = is_lost ? replaced.session->loss().reason : "replaced: " + why;
    notify({.what = is_lost ? step::lost : step::replaced,
            .took = replaced.up,
            .reason = is_lost ? replaced.end : why,
            .is_serving = true});
  }

  /// Closes a withdrawn connection, calls `on_disconnect` and reports it.
  /// @param thrown becomes what `on_disconnect` throws, unless it is set already.
  strand_awaitable<> finish(served& withdrawn, std::exception_ptr& thrown) {
    withdrawn.session.reset();
    if (withdrawn.on_connect_returned) {
      const auto by_callback = thrown_by("on_disconnect", options().on_disconnect);
      if (!thrown) thrown = by_callback;
    }
    notify({.what = step::disconnected, .took = withdrawn.up, .reason = withdrawn.end});
    // A caller that is taking the channel needs nanoseconds, unless its thread is not
    // running.
    while (!picker().reclaim()) co_await state_changed_.wait_until(Clock::now() + std::chrono::milliseconds(1));
  }

  [[nodiscard]] connection_loss loss_of(const session_type& session, const std::exception_ptr& thrown) const {
    if (stopping_) return {.reason = std::string(stop_reason_)};
    if (thrown) return {.reason = core::exception_text(thrown)};
    if (session.is_connected()) return {.reason = "suspect: " + suspicion_, .kind = loss_kind::broken};
    return session.loss();
  }

  /// Serves until the connection is replaced or lost, or `stop()` is called.
  /// @param next the attempt that has made the replacement. Without one, the attempt that
  /// goes on after a loss, or none.
  /// @return true when `replacement` has been published.
  strand_awaitable<bool> await_replacement(served& serving, conn_grpc::backoff& backoff, attempt& next,
                                           served& replacement) {
    auto& session = *serving.session;
    for (;;) {
      const auto reason = co_await await_reason_to_replace(serving);
      if (!reason) co_return false;
      co_await connect_beside(session, *reason, next);
      if (!stopping_ && may_replace(session, next) && publish(next, backoff, replacement)) co_return true;
      if (stopping_ || !session.is_connected()) co_return false;
      suspicion_ = reason->why;
      if (reason->is_suspect && next.is_under_way(*strand_, state_changed_)) co_return false;
      if (next) fail(next, true);
      next = {};
      if (reason->is_suspect) co_return false;
      const auto delay = call_user("backoff.next", [&] { return backoff.next(); });
      const auto until = plan_.attempt_failed(delay);
      notify({.what = step::backing_off, .at = steady(until), .delay = delay, .is_serving = true});
      co_await boost::asio::post(boost::asio::deferred);  // stop() must get its turn
    }
  }

  /// @return none after `stop()`, and when the connection is lost and may not serve on.
  strand_awaitable<std::optional<replacement_reason>> await_reason_to_replace(served& serving) {
    auto& session = *serving.session;
    for (;;) {
      follow_health(session);
      if (stopping_) co_return std::nullopt;
      if (!session.is_connected()) {
        note_end(serving);
        const bool may_serve = co_await may_serve_until_replaced(serving);
        if (!may_serve) co_return std::nullopt;
        co_return replacement_reason{.why = "its end was announced"};
      }
      if (auto reason = plan_.due(retry_rule_)) co_return reason;
      co_await state_changed_.wait_until(plan_.next_check());
    }
  }

  /// True when gets may return a lost connection, whose channel connects again, until the
  /// next attempt has ended.
  strand_awaitable<bool> may_serve_until_replaced(const served& lost) {
    if (lost.session->is_usable()) co_await await_reason(*lost.session);
    if (stopping_ || !lost.session->is_usable()) co_return false;
    co_return retry_rule_.begins_now(retry_rule_.after(lost.session->loss().kind, lost.up));
  }

  /// True when the replacement is connected, and serves if `serving` does.
  [[nodiscard]] static bool may_replace(const session_type& serving, const attempt& replacing) {
    const bool must_serve = serving.is_usable() && serving.is_serving();
    return replacing.has_succeeded() && (!must_serve || replacing.session().is_serving());
  }

  /// Withdraws an unhealthy connection, and hands it out again once it serves.
  void follow_health(session_type& serving) {
    if (!health_.follow(serving)) return;
    picker().serve_waiters();
    environment_.attempt_ended(*channel_, true);
  }

  /// Makes an attempt while another connection serves, and until that may not serve any
  /// more: gets return a lost or suspect connection for a second at most. Then the attempt
  /// goes on.
  strand_awaitable<> connect_beside(session_type& serving, const replacement_reason& reason, attempt& begun) {
    constexpr auto never = (time_point::max)();
    auto reusable = serving.is_connected() ? nullptr : serving.take_reusable(true);
    auto end_of_gap = reason.is_suspect ? deadline_after<Clock>(longest_gap) : never;
    typename attempt_limiter<Clock>::place place(attempts(), state_changed_);
    while (!stopping_ && serving.is_usable()) {
      follow_health(serving);
      if (stopping_) break;
      if (end_of_gap == never && !serving.is_connected()) end_of_gap = deadline_after<Clock>(longest_gap);
      if (Clock::now() >= end_of_gap) break;
      if (auto permit = begun ? typename attempt::permit_type() : place.request())
        begun = begin_attempt(std::move(permit), std::exchange(reusable, nullptr), reason.why);
      if (begun && !begun.is_under_way(*strand_, state_changed_)) break;
      co_await state_changed_.wait_until((std::min)(end_of_gap, begun ? begun.deadline() : never));
    }
    place.leave();
    attempts().notify_next();
    const bool is_withdrawn = !serving.is_connected() || Clock::now() >= end_of_gap;
    const bool goes_on = !stopping_ && is_withdrawn && begun.is_under_way(*strand_, state_changed_);
    if (!goes_on) end(begun);
    if (reusable) reusable_ = std::move(reusable);
  }

  /// An RPC that ends with the connection may end a moment later. Its status decides
  /// about the next attempt.
  strand_awaitable<> await_reason(const session_type& lost) {
    const auto end = deadline_after<Clock>(std::chrono::milliseconds(20));
    while (!stopping_ && lost.may_know_more() && Clock::now() < end)
      co_await state_changed_.wait_until((std::min)(end, Clock::now() + std::chrono::milliseconds(1)));
  }

  /// @param has_failed true after an attempt that failed. Then a connection of another
  /// channel to the same address ends the wait.
  strand_awaitable<> back_off(conn_grpc::backoff& backoff, bool has_failed) {
    const auto delay = call_user("backoff.next", [&] { return backoff.next(); });
    const auto until = deadline_after<Clock>(delay);
    notify({.what = step::backing_off, .at = steady(until), .delay = delay});
    waits_for_address_ = has_failed;
    const auto counted = has_failed ? std::make_unique<address_waiter>(environment_.counters, address()) : nullptr;
    while (!stopping_ && Clock::now() < until && waits_for_address_ == has_failed)
      co_await state_changed_.wait_until(until);
    waits_for_address_ = false;
  }

  class address_waiter {
   public:
    address_waiter(actor_counters& counters, const std::string& address) : count_(counters.waiting[address]) {
      ++count_;
    }
    ~address_waiter() { --count_; }
    address_waiter(const address_waiter&) = delete;
    address_waiter& operator=(const address_waiter&) = delete;

   private:
    std::size_t& count_;  // the map's elements stay where they are
  };

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

  // How long gets return a suspect connection, or a lost one whose channel connects again.
  static constexpr std::chrono::milliseconds longest_gap{1'000};

  const actor_environment<Clock>& environment_;
  const std::shared_ptr<const channel_identity> channel_;
  channel_listeners listeners_;
  const strand_type* strand_ = nullptr;  // in the frame of `run()`
  session_type* serves_ = nullptr;       // the session that is handed out
  std::string suspicion_;                // why the last connection was suspect
  std::shared_ptr<void> reusable_;       // left by the connection that was lost, for the next attempt
  retry_rule<Clock> retry_rule_;
  replacement_plan<Clock> plan_;
  served_health<Clock> health_{listeners_};
  bool waits_for_address_ = false;  // in the backoff after a failed attempt
  condition<Clock> state_changed_;
  bool has_settled_ = false;
  bool has_ended_ = false;
  bool stopping_ = false;
  std::string_view stop_reason_;
};

}  // namespace conn_grpc::runtime
