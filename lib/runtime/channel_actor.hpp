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

  /// @param changed tells the actor's owner, from any thread, to call `look_again()` on the strand.
  channel_actor(std::shared_ptr<const channel_settings> settings, std::string name,
                std::shared_ptr<const Connector> connector, source_type& source, std::size_t slot,
                std::function<void()> changed)
      : shared_settings_(std::move(settings)),
        shared_connector_(std::move(connector)),
        source_(source),
        slot_(slot),
        changed_(std::move(changed)),
        probe_(settings_, std::move(name)) {}

  channel_actor(const channel_actor&) = delete;
  channel_actor& operator=(const channel_actor&) = delete;

  /// Connects, serves and connects again until `stop()`. What user code throws ends it, with the channel withdrawn; it
  /// may be run again.
  strand_awaitable<> run() {
    const auto backoff = make_backoff();
    while (!stopping_) {
      // Everybody else first: an attempt takes half a millisecond of gRPC's on the strand, and the news that others
      // have lost their connection should not wait for it.
      co_await boost::asio::post(boost::asio::deferred);
      if (stopping_) break;
      bool stable = false;
      if (auto made = co_await connect(); made.channel) stable = co_await serve(std::move(made), *backoff);
      if (!stable && !stopping_) co_await back_off(call_user("backoff.next", [&] { return backoff->next(); }));
    }
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
  using connection_ptr = decltype(std::declval<const Connector&>().connect(std::declval<std::function<void()>>()));
  using connection_type = typename connection_ptr::element_type;

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
    const auto deadline = deadline_after<Clock>(settings_.connect_timeout);
    auto connection = call_user("create_channel", [this] { return connector_.connect(changed_); });
    while (connection->state() == connection_state::connecting && !stopping_ && Clock::now() < deadline)
      co_await news_.wait_until(deadline);

    const std::chrono::nanoseconds took = Clock::now() - begin;
    channel_type channel = stopping_ ? nullptr : connection->channel();
    if (!channel) {
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
        auto why = "connect_timeout of " + std::to_string(settings_.connect_timeout.count()) + " ms expired";
        const auto known = connection.failure();
        return known.empty() ? why : known + " (" + why + ")";
      }
    }
  }

  /// Hands the channel out until the connection is lost, or `stop()`. Did it live long enough to be replaced at once?
  strand_awaitable<bool> serve(attempt made, conn_grpc::backoff& backoff) {
    const auto begin = Clock::now();
    call_user("backoff.reset", [&] { backoff.reset(); });
    std::exception_ptr thrown;
    {
      const publication published(source_, slot_, std::move(made.channel));
      probe_.connected(steady(begin), made.took);
      source_.serve_waiters();  // who may look at the status
      thrown = thrown_by("on_connect", settings_.on_connect);
      while (!thrown && !stopping_ && made.connection->state() == connection_state::connected) co_await news_.wait();
    }
    const auto up = Clock::now() - begin;
    made.connection.reset();
    if (stopping_)
      probe_.connection_released(up);
    else
      probe_.connection_lost(up);
    if (!thrown) thrown = thrown_by("on_disconnect", settings_.on_disconnect);
    probe_.disconnected(up);
    // Who was just taking the channel is done within nanoseconds, unless its thread lost the processor meanwhile.
    while (!source_.reclaim()) co_await news_.wait_until(Clock::now() + std::chrono::milliseconds(1));
    if (thrown) std::rethrow_exception(thrown);
    co_return std::chrono::floor<std::chrono::milliseconds>(up) >= settings_.stable_after;
  }

  /// For where the world has to be put in order before it may fly.
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
  const std::function<void()> changed_;
  channel_probe probe_;
  condition<Clock> news_;
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
