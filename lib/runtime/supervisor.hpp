// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/exception_text.hpp"
#include "core/restart_budget.hpp"
#include "runtime/address_refresh.hpp"
#include "runtime/address_set.hpp"
#include "runtime/channel_actor.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/load_sizing.hpp"
#include "runtime/log_line.hpp"
#include "runtime/resolver.hpp"
#include "runtime/roster.hpp"
#include "runtime/size_report.hpp"
#include "runtime/strand.hpp"
#include "runtime/waiter_expiry.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/errc.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Runs the coroutines of one pool on one strand, and restarts the actors whose user code
/// threw. All functions are for that strand.
///
/// There is one strand for all, because every actor publishes into the same set of
/// members. With a strand for each actor, every connect and every loss would be posted
/// once more. Nothing would be gained, since gRPC does the work on its own threads.
template <class Clock>
class supervisor {
 public:
  using actor = channel_actor<Clock>;

  /// @param over_limit called when user code has thrown more often than allowed, before
  /// the actors are stopped.
  /// @param begin_look_up see address_refresh. Not called unless there is `options.resolve`.
  supervisor(const checked_pool_options& options, channel_picker<Clock>& picker, const roster<actor>& channels,
             address_set<actor>& addresses, const actor_counters& counters, std::function<void()> over_limit,
             std::function<void()> begin_look_up)
      : options_(options),
        picker_(picker),
        channels_(channels),
        addresses_(addresses),
        counters_(counters),
        over_limit_(std::move(over_limit)),
        restarts_(options.max_restarts, options.restart_window),
        expiry_(picker),
        report_(picker, options.status_interval.value_or((std::chrono::milliseconds::max)())),
        refresh_(options, std::move(begin_look_up),
                 [this](const std::vector<std::string>& found) { set_addresses(found); }),
        load_sizing_(options, picker, [this](std::size_t size) { resize(size); }) {
    if (options.resolve && options.pool_size > 0) picker.expect_unknown_size();
  }

  /// Runs until `stop()`, and until then every actor has released its connection and
  /// every waiter has been completed.
  /// @param owner of this object.
  strand_awaitable<> run(std::shared_ptr<void> owner, strand_type strand) {
    try {
      if (options_.is_pool()) spawn(owner, strand, report_.run());
      spawn(owner, strand, expiry_.run());
      if (options_.resolve) spawn(owner, strand, refresh_.run());
      if (options_.is_elastic()) spawn(owner, strand, load_sizing_.run());
      const auto all = channels_.all();
      new_channels_.assign(all->begin(), all->end());

      is_running_ = true;
      while (!stopping_) {
        co_await start_new_channels(owner, strand);
        if (std::exchange(has_ended_, false)) addresses_.remove_ended();
        if (!stopping_) co_await changed_.wait();
      }
    } catch (const std::bad_alloc&) {
      stop(make_error_code(boost::system::errc::not_enough_memory));  // stops the actors that already run
    }
    while (living_ > 0) co_await changed_.wait();
    while (!picker_.reclaim()) co_await changed_.wait_until(Clock::now() + std::chrono::milliseconds(1));
    while (picker_.delivering()) co_await boost::asio::post(boost::asio::deferred);  // every waiter is completed first
  }

  /// @param why the result; the first call counts.
  void stop(error_code why) {
    if (std::exchange(stopping_, true)) return;
    result_ = why;
    for (const auto all = channels_.all(); const auto& a : *all) a->stop();
    report_.stop();
    expiry_.stop();
    refresh_.stop();
    load_sizing_.stop();
    changed_.notify();
  }

  [[nodiscard]] error_code result() const { return result_; }

  /// Throws std::bad_alloc, without effect.
  void set_addresses(const std::vector<std::string>& addresses) {
    if (stopping_) return;
    add(addresses_.change(addresses));
    remove(is_running_ ? addresses_.take_leaving_unconnected() : addresses_.take_leaving());
    remove_old_channels(true);
    if (!is_running_) addresses_.remove_ended();
    picker_.serve_waiters();  // a waiter for more channels than there are to be fails
    changed_.notify();
  }

  /// Changes the number of channels to each address. Throws std::bad_alloc, without effect.
  void resize(std::size_t size) {
    if (stopping_) return;
    add(addresses_.resize(size));
    remove(addresses_.take_surplus(), "the pool has become smaller");
    if (!is_running_) addresses_.remove_ended();
    picker_.serve_waiters();  // a waiter for more channels than there are to be fails
    changed_.notify();
  }
  /// The same, for the user. Returns invalid_argument, without effect, when there would be
  /// too many channels.
  [[nodiscard]] error_code set_size(std::size_t size) {
    if (size > most_channels / (std::max)(addresses_.address_count(), std::size_t{1}))
      return boost::asio::error::invalid_argument;
    resize(size);
    load_sizing_.set(size);
    return {};
  }
  /// See load_sizing. The first one is thread-safe.
  [[nodiscard]] bool lease_was_refused() noexcept { return load_sizing_.refused(); }
  void look_at_load() { load_sizing_.look_again(); }

  /// A look-up has ended.
  void resolved(resolution found) { refresh_.ended(std::move(found)); }
  /// Why the last look-up failed. Empty if it did not. Thread-safe.
  [[nodiscard]] std::string look_up_failure() const { return refresh_.failure(); }

  /// A connection was lost.
  void connection_lost() { refresh_.request(); }

  /// An attempt of this channel has ended.
  void attempt_ended(const channel_identity& of, bool has_connected) {
    remove_old_channels(has_connected);
    if (!has_connected) return refresh_.request();
    if (options_.has_own_targets) return;  // the user's create_channel may lead anywhere
    const auto waiting = counters_.waiting.find(of.address);
    if (waiting == counters_.waiting.end() || waiting->second == 0) return;
    for (const auto all = channels_.all(); const auto& a : *all)
      if (a->waits_for_address() && a->address() == of.address) a->end_backoff();
  }

  /// Returns when no RPC is in flight and no lease is left, at the deadline, or after `stop()`. Any number of
  /// coroutines may wait.
  strand_awaitable<> await_calls(const connector& connects, typename Clock::time_point deadline) {
    condition<Clock> pause;
    while (!stopping_ && is_in_use(connects) && Clock::now() < deadline)
      co_await pause.wait_until((std::min)(deadline, Clock::now() + time_between_counts));
    if (!stopping_ && is_in_use(connects))
      log_line(options_.logger.get(), spdlog::level::warn,
               "conn_grpc " + options_.label +
                   ": the time of drain is over; RPCs in flight: " + std::to_string(connects.calls_in_flight()) +
                   ", leases: " + std::to_string(picker_.leases().in_flight()));
  }

  /// A waiter with the earliest deadline has joined.
  void expire_earlier() { expiry_.recheck(); }

 private:
  using step = channel_transition::step;

  // The end of an RPC notifies no pool: RPCs would pay for it.
  static constexpr std::chrono::milliseconds time_between_counts{5};

  [[nodiscard]] bool is_in_use(const connector& connects) const {
    return connects.calls_in_flight() > 0 || picker_.leases().in_flight() > 0;
  }

  strand_awaitable<> start_new_channels(const std::shared_ptr<void>& owner, const strand_type& strand) {
    while (!stopping_ && !new_channels_.empty()) {
      const auto started = new_channels_.front();
      new_channels_.pop_front();
      if (started->is_stopping()) {
        end_of(*started);
        continue;
      }
      spawn(owner, strand, supervise(started));
      co_await boost::asio::post(boost::asio::deferred);  // other handlers of the context run between two attempts
    }
  }

  void remove_old_channels(bool may_be_served) {
    if (addresses_.has_leaving()) remove(addresses_.take_removable(may_be_served));
  }

  void add(const typename roster<actor>::list& added) {
    picker_.expect(addresses_.expected_size());
    // A caller that gets in a loop would not let its context go on, if gets failed at once.
    if (addresses_.address_count() == 0 && addresses_.size() > 0) picker_.expect_unknown_size();
    if (is_running_) new_channels_.insert(new_channels_.end(), added.begin(), added.end());
  }

  void remove(const typename roster<actor>::list& removed, std::string_view why = "the address was removed") {
    for (const auto& channel : removed) {
      channel->stop(why);
      if (!is_running_) channel->set_ended();
    }
  }

  void end_of(actor& ended) {
    ended.set_ended();
    has_ended_ = true;
    changed_.notify();
  }

  // `run` does not end before the child has ended.
  void spawn(const std::shared_ptr<void>& owner, const strand_type& strand, strand_awaitable<> child) {
    ++living_;
    try {
      boost::asio::co_spawn(strand, std::move(child), [this, owner](const std::exception_ptr& failed) {
        --living_;
        changed_.notify();
        if (failed) give_up();
      });
    } catch (...) {
      --living_;
      throw;
    }
  }

  /// One for one, as Elixir's supervisor: an actor whose user code threw is restarted
  /// alone and at once, until that happens too often.
  strand_awaitable<> supervise(std::shared_ptr<actor> supervised) {
    for (;;) {
      std::string what;
      try {
        co_await supervised->run();
        if (!stopping_) end_of(*supervised);
        co_return;
      } catch (...) {
        what = core::current_exception_text();
      }
      if (!stopping_ && restarts_.spend(Clock::now())) {
        const auto consequence = "restart " + std::to_string(restarts_.spent()) + " of at most " +
                                 std::to_string(restarts_.limit()) + " in " +
                                 std::to_string(options_.restart_window.count()) + " ms";
        supervised->notify({.what = step::user_code_failed, .reason = what, .consequence = consequence});
        co_await boost::asio::post(
            boost::asio::deferred);  // stop() must get its turn even when user code throws each time
        continue;
      }
      supervised->notify({.what = step::user_code_failed,
                          .reason = what,
                          .consequence = stopping_ ? "while stopping" : "too often, stopping"});
      supervised->notify({.what = step::stopped});
      give_up();
      co_return;
    }
  }

  // Stops at once, before another actor connects.
  void give_up() {
    if (stopping_) return;
    over_limit_();
    stop(errc::restart_limit);
  }

  const checked_pool_options& options_;
  channel_picker<Clock>& picker_;
  const roster<actor>& channels_;
  address_set<actor>& addresses_;
  const actor_counters& counters_;
  const std::function<void()> over_limit_;
  core::restart_budget<typename Clock::time_point> restarts_;
  waiter_expiry<Clock> expiry_;
  size_report<Clock> report_;
  address_refresh<Clock> refresh_;
  load_sizing<Clock> load_sizing_;
  condition<Clock> changed_;
  std::size_t living_ = 0;
  bool stopping_ = false;
  bool is_running_ = false;
  bool has_ended_ = false;                           // a channel whose address was removed
  std::deque<std::shared_ptr<actor>> new_channels_;  // their coroutines are to be started
  error_code result_;
};

}  // namespace conn_grpc::runtime
