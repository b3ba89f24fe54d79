// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/actor_environment.hpp"
#include "runtime/actor_state.hpp"
#include "runtime/channel_transition.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/connecting_phase.hpp"
#include "runtime/connection_attempt.hpp"
#include "runtime/deadline.hpp"
#include "runtime/member.hpp"
#include "runtime/retry_rule.hpp"
#include "runtime/serving_phase.hpp"
#include "runtime/strand.hpp"
#include "runtime/user_code.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
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
      : state_(environment, std::move(channel)) {}

  channel_actor(const channel_actor&) = delete;
  channel_actor& operator=(const channel_actor&) = delete;
  ~channel_actor() = default;

  /// Connects, serves and connects again until `stop()`. An exception of user code
  /// withdraws the channel and ends `run()`. It may be run again.
  strand_awaitable<> run() {
    const auto strand = co_await boost::asio::this_coro::executor;
    state_.strand = &strand;
    const auto backoff = make_backoff();
    state_.reusable.reset();  // left by a run that user code ended
    attempt next;             // under way when it was to replace a connection that has been lost meanwhile
    try {
      while (!state_.stopping) {
        // An attempt takes half a millisecond of the strand, inside gRPC. Losses that are
        // already reported are handled first.
        co_await boost::asio::post(boost::asio::deferred);
        if (state_.stopping) break;
        auto when = retry::after_backoff;
        const bool has_connected = co_await connecting_.connect(next);
        if (has_connected) when = co_await serving_.serve(next, *backoff);
        if (!state_.stopping && !next && !state_.pace.begins_now(when)) co_await back_off(*backoff, !has_connected);
      }
    } catch (...) {
      connecting_.end(next);
      throw;
    }
    connecting_.end(next);
    state_.reusable.reset();
    notify({.what = step::stopped});
  }

  /// @param why the reason in the event of the connection that ends.
  void stop(std::string_view why = "stopped") {
    if (!state_.stopping) state_.stop_reason = why;
    state_.stopping = true;
    recheck();
  }

  /// Connects again, and then withdraws the connection. Without a connection this has no
  /// effect.
  /// @param is_suspect true when the connection must not serve even if connecting fails.
  void replace(std::string_view why, bool is_suspect) { serving_.replace(why, is_suspect); }

  /// The address can be reached. Ends the backoff that followed a failed attempt.
  void end_backoff() {
    if (std::exchange(waits_for_address_, false)) recheck();
  }

  /// The state of a connection may have changed.
  void recheck() { state_.changed.notify(); }

  [[nodiscard]] std::size_t slot() const { return state_.channel->slot; }
  [[nodiscard]] const std::string& address() const { return state_.channel->address; }
  [[nodiscard]] bool is_stopping() const { return state_.stopping; }
  /// True when its coroutine has ended, for good.
  [[nodiscard]] bool has_ended() const { return has_ended_; }
  void set_ended() { has_ended_ = true; }
  /// True while it waits after a failed attempt.
  [[nodiscard]] bool waits_for_address() const { return waits_for_address_; }
  /// True when its first attempt has ended.
  [[nodiscard]] bool has_settled() const { return state_.has_settled; }
  /// True while its connection is handed out.
  [[nodiscard]] bool serves() const { return serving_.serves(); }
  /// True while this channel is handed out, or its connection is unhealthy.
  [[nodiscard]] bool serves(const ::grpc::Channel* channel) const { return serving_.serves(channel); }
  [[nodiscard]] channel_status status() const {
    auto now = state_.listeners.status();
    now.in_flight = state_.channel->load->in_flight.load(std::memory_order_relaxed);
    now.served = state_.channel->load->served.load(std::memory_order_relaxed);
    return now;
  }
  void notify(const channel_transition& made) { state_.notify(made); }

 private:
  using step = channel_transition::step;
  using attempt = connection_attempt<Clock>;

  [[nodiscard]] std::unique_ptr<conn_grpc::backoff> make_backoff() const {
    return call_user("make_backoff", [this] {
      const auto& options = state_.environment.options;
      auto policy = options.make_backoff(options.backoff);
      if (!policy) throw std::invalid_argument("it returned null");
      return policy;
    });
  }

  /// @param has_failed true after an attempt that failed. Then a connection of another
  /// channel to the same address ends the wait.
  strand_awaitable<> back_off(conn_grpc::backoff& backoff, bool has_failed) {
    const auto delay = call_user("backoff.next", [&] { return backoff.next(); });
    const auto until = deadline_after<Clock>(delay);
    notify({.what = step::backing_off, .at = steady(until), .delay = delay});
    waits_for_address_ = has_failed;
    const auto counted =
        has_failed ? std::make_unique<address_waiter>(state_.environment.counters, address()) : nullptr;
    while (!state_.stopping && Clock::now() < until && waits_for_address_ == has_failed)
      co_await state_.changed.wait_until(until);
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

  actor_state<Clock> state_;
  connecting_phase<Clock> connecting_{state_};
  serving_phase<Clock> serving_{state_, connecting_};
  bool waits_for_address_ = false;  // in the backoff after a failed attempt
  bool has_ended_ = false;
};

}  // namespace conn_grpc::runtime
