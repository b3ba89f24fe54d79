// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_probe.hpp"
#include "runtime/channel_settings.hpp"
#include "runtime/channel_source.hpp"
#include "runtime/condition.hpp"
#include "runtime/connector.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace conn_grpc::runtime {

/// `delay` from now, which is now when it is negative and the end of time where it would overflow.
template <class Clock, class Duration>
typename Clock::time_point deadline_after(Duration delay) {
  const auto now = Clock::now();
  const auto end = (Clock::time_point::max)();
  if (delay.count() <= 0) return now;
  return delay < std::chrono::duration_cast<Duration>(end - now) ? now + delay : end;
}

/// One channel. `run()` is its life; everything happens on the strand that runs it.
template <class Clock, connector Connector>
class channel_actor {
 public:
  using channel_type = typename Connector::channel_type;
  using source_type = channel_source<Clock, channel_type>;

  /// @param changed notifies the actor's owner from any thread. The owner withdraws a channel that was lost, and calls
  /// `look_again()` on the strand.
  channel_actor(std::shared_ptr<const channel_settings> settings, std::string name,
                std::shared_ptr<const Connector> connector, source_type& source, std::size_t slot,
                connection_observer<channel_type> changed)
      : shared_settings_(std::move(settings)),
        shared_connector_(std::move(connector)),
        source_(source),
        slot_(slot),
        changed_(std::move(changed)),
        probe_(settings_, std::move(name)) {}

  channel_actor(const channel_actor&) = delete;
  channel_actor& operator=(const channel_actor&) = delete;

  /// Connects, serves and connects again until `stop()`. An exception of user code ends it, with the channel withdrawn.
  /// It may be run again.
  strand_awaitable<> run() {
    const auto backoff = make_backoff();
    reusable_.reset();  // of a run that user code ended
    while (!stopping_) {
      // An attempt takes half a millisecond of gRPC's on the strand. Losses that are already reported come first.
      co_await boost::asio::post(boost::asio::deferred);
      if (stopping_) break;
      auto next = retry::after_backoff;
      if (auto made = co_await connect(); made.channel) next = co_await serve(std::move(made), *backoff);
      if (!stopping_) co_await wait_for(next, *backoff);
    }
    reusable_.reset();
    probe_.stopped();
  }

  void stop() {
    stopping_ = true;
    look_again();
  }

  [[nodiscard]] bool stopping() const { return stopping_; }

  void look_again() { news_.notify(); }

  [[nodiscard]] channel_probe& probe() { return probe_; }
  [[nodiscard]] const channel_probe& probe() const { return probe_; }

 private:
  using connection_type = typename Connector::connection_type;
  using connection_ptr = std::unique_ptr<connection_type>;

  /// When the next attempt begins.
  enum class retry {
    at_once,        // after a connection that lived for `stable_after`
    paced,          // after a shorter one to a server that closes in order: at once, twice per `stable_after` at most
    after_backoff,  // after any other
  };

  struct attempt {
    connection_ptr connection;
    channel_type channel;  // null when it failed, and so is the connection
    std::chrono::nanoseconds took;
  };

  std::unique_ptr<conn_grpc::backoff> make_backoff() const {
    return call_user("make_backoff", [this] {
      auto policy = settings_.make_backoff(settings_.backoff);
      if (!policy) throw std::invalid_argument("it returned null");
      return policy;
    });
  }

  strand_awaitable<attempt> connect() {
    probe_.connecting();
    const auto begin = Clock::now();
    const auto deadline = deadline_after<Clock>(settings_.attempt_limit);
    auto connection =
        call_user("create_channel", [this] { return connector_.connect(changed_, std::exchange(reusable_, nullptr)); });
    while (connection->state() == connection_state::connecting && !stopping_ && Clock::now() < deadline)
      co_await news_.wait_until(deadline);

    const std::chrono::nanoseconds took = Clock::now() - begin;
    channel_type channel = stopping_ ? nullptr : connection->channel();
    if (!channel) {
      closes_in_order_ = false;
      if (!stopping_) probe_.connect_failed(took, failure(*connection));
      connection.reset();  // gives the attempt up
    }
    co_return attempt{std::move(connection), std::move(channel), took};
  }

  std::string failure(const connection_type& connection) const {
    switch (connection.state()) {
      case connection_state::failed:
        return connection.failure();
      case connection_state::lost:
        return "the connection was closed as soon as it was established";
      default: {
        auto why = "given up after " + std::to_string(settings_.attempt_limit.count()) + " ms";
        const auto known = connection.failure();
        return known.empty() ? "the attempt did not end, and was " + why : known + " (" + why + ")";
      }
    }
  }

  /// Publishes the channel until the connection is lost, or `stop()`.
  strand_awaitable<retry> serve(attempt made, conn_grpc::backoff& backoff) {
    const auto begin = Clock::now();
    call_user("backoff.reset", [&] { backoff.reset(); });
    made.channel = made.connection->channel();
    if (!made.channel) {  // lost meanwhile: it was never published
      probe_.connect_failed(made.took, failure(*made.connection));
      co_return retry::after_backoff;
    }
    const auto is_connected = [&] { return made.connection->state() == connection_state::connected; };
    std::exception_ptr thrown;
    {
      const publication published(source_, slot_, std::move(made.channel));
      if (!is_connected()) source_.withdraw(slot_);  // the loss came before there was anything to withdraw
      probe_.connected(steady(begin), made.took);
      if (is_connected()) source_.serve_waiters();  // after the status, which they may look at
      thrown = thrown_by("on_connect", settings_.on_connect);
      while (!thrown && !stopping_ && is_connected()) co_await news_.wait();
    }
    const auto up = Clock::now() - begin;
    if (!thrown) co_await await_reason(*made.connection);
    const auto loss = stopping_ ? connection_loss{"stopped"}
                      : thrown  ? connection_loss{core::exception_text(thrown)}
                                : made.connection->loss();
    if (!stopping_ && !thrown) reusable_ = connector_.reusable(std::move(made.connection));
    made.connection.reset();
    if (stopping_)
      probe_.connection_released(up);
    else
      probe_.connection_lost(up, loss.reason);
    if (!thrown) thrown = thrown_by("on_disconnect", settings_.on_disconnect);
    probe_.disconnected(up, loss.reason);
    // A caller that is just taking the channel is done within nanoseconds, unless its thread lost the processor.
    while (!source_.reclaim()) co_await news_.wait_until(Clock::now() + std::chrono::milliseconds(1));
    if (thrown) std::rethrow_exception(thrown);
    if (std::chrono::floor<std::chrono::milliseconds>(up) >= settings_.stable_after) co_return retry::at_once;
    if (loss.kind != loss_kind::unknown) closes_in_order_ = loss.kind == loss_kind::orderly;
    co_return closes_in_order_ ? retry::paced : retry::after_backoff;
  }

  /// RPCs that end with the connection may do so a moment later. What they tell decides about the next attempt.
  strand_awaitable<> await_reason(const connection_type& lost) {
    const auto end = deadline_after<Clock>(std::chrono::milliseconds(20));
    while (!stopping_ && lost.may_know_more() && Clock::now() < end)
      co_await news_.wait_until((std::min)(end, Clock::now() + std::chrono::milliseconds(1)));
  }

  strand_awaitable<> wait_for(retry next, conn_grpc::backoff& backoff) {
    if (next == retry::at_once) co_return;
    if (next == retry::paced && Clock::now() >= next_paced_attempt_) {
      next_paced_attempt_ = deadline_after<Clock>(settings_.stable_after / 2);
      co_return;
    }
    co_await back_off(call_user("backoff.next", [&] { return backoff.next(); }));
  }

  /// Returns the callback's exception instead of throwing it, because the channel must be withdrawn first.
  static std::exception_ptr thrown_by(std::string_view where, const std::function<void()>& callback) {
    try {
      if (callback) call_user(where, callback);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  strand_awaitable<> back_off(std::chrono::milliseconds delay) {
    const auto until = deadline_after<Clock>(delay);
    probe_.backing_off(steady(until), delay);
    while (!stopping_ && Clock::now() < until) co_await news_.wait_until(until);
  }

  /// In the rotation for as long as it lives, whichever way the scope is left.
  class publication {
   public:
    publication(source_type& source, std::size_t slot, channel_type channel) : source_(source), slot_(slot) {
      source_.publish(slot_, std::move(channel));
    }
    ~publication() { source_.withdraw(slot_); }
    publication(const publication&) = delete;
    publication& operator=(const publication&) = delete;

   private:
    source_type& source_;
    std::size_t slot_;
  };

  static channel_probe::time_point steady(typename Clock::time_point when) {
    return channel_probe::time_point(when.time_since_epoch());
  }

  // Shared by the channels of the group.
  const std::shared_ptr<const channel_settings> shared_settings_;
  const std::shared_ptr<const Connector> shared_connector_;
  const channel_settings& settings_ = *shared_settings_;
  const Connector& connector_ = *shared_connector_;
  source_type& source_;
  const std::size_t slot_;
  const connection_observer<channel_type> changed_;
  channel_probe probe_;
  connection_ptr reusable_;       // of the connection that was lost, by the next attempt
  bool closes_in_order_ = false;  // the server, when it was last known how it closed a connection
  typename Clock::time_point next_paced_attempt_ = (Clock::time_point::min)();
  condition<Clock> news_;
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
