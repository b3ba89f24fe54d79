// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/restart_budget.hpp"
#include "core/thrown_text.hpp"
#include "runtime/channel_actor.hpp"
#include "runtime/channel_source.hpp"
#include "runtime/condition.hpp"
#include "runtime/group_settings.hpp"
#include "runtime/strand.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/errc.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// Runs the actors of one group, and what else it has to do in time, on one strand. Touched on that strand only, but
/// for the actors' probes.
///
/// One strand for all, because every actor publishes into the one rotation: a strand each would hop for every
/// connect and every loss, and gain nothing, since gRPC does the work on its own threads.
template <class Clock, connector Connector>
class supervisor {
 public:
  using actor = channel_actor<Clock, Connector>;
  using source_type = typename actor::source_type;

  /// @param over_limit called when user code threw more often than allowed, before the actors are stopped for it.
  supervisor(const group_settings& settings, source_type& source, std::function<void()> over_limit)
      : settings_(settings),
        source_(source),
        over_limit_(std::move(over_limit)),
        restarts_(settings.max_restarts, settings.restart_window) {}

  /// Before anything else is called. The parameters are those of the actor.
  void add(std::shared_ptr<const channel_settings> settings, std::string name,
           std::shared_ptr<const Connector> connector, connection_observer<typename actor::channel_type> changed) {
    const std::size_t slot = actors_.size();
    source_.add_slot(name);
    actors_.push_back(std::make_unique<actor>(std::move(settings), std::move(name), std::move(connector), source_, slot,
                                              std::move(changed)));
  }

  [[nodiscard]] const std::vector<std::unique_ptr<actor>>& actors() const { return actors_; }

  /// Until `stop()`, once every actor has released its connection and every waiter has been completed.
  /// @param owner of this object.
  strand_awaitable<> run(std::shared_ptr<void> owner, strand_type strand) {
    try {
      if (settings_.is_pool()) spawn(owner, strand, report_size());
      spawn(owner, strand, expire_waiters());
      for (const auto& a : actors_) {
        spawn(owner, strand, supervise(*a));
        co_await boost::asio::post(boost::asio::deferred);  // let others on the context run between two attempts
      }
    } catch (const std::bad_alloc&) {
      stop(make_error_code(boost::system::errc::not_enough_memory));  // those that run already
    }
    while (living_ > 0 || !stopping_) co_await ended_.wait();
    while (!source_.reclaim()) co_await ended_.wait_until(Clock::now() + std::chrono::milliseconds(1));
    while (source_.delivering()) co_await boost::asio::post(boost::asio::deferred);  // the waiters first
  }

  /// @param why the result; the first call counts.
  void stop(error_code why) {
    if (std::exchange(stopping_, true)) return;
    result_ = why;
    for (const auto& a : actors_) a->stop();
    report_due_.notify();
    deadline_.notify();
    ended_.notify();
  }

  [[nodiscard]] error_code result() const { return result_; }

  /// A waiter has joined whose deadline is the earliest.
  void expire_earlier() { deadline_.notify(); }

 private:
  // `run` does not end before the child has.
  void spawn(const std::shared_ptr<void>& owner, const strand_type& strand, strand_awaitable<> child) {
    ++living_;
    try {
      boost::asio::co_spawn(strand, std::move(child), [this, owner](const std::exception_ptr& failed) {
        --living_;
        ended_.notify();
        if (failed) give_up();
      });
    } catch (...) {
      --living_;
      throw;
    }
  }

  /// At once, and then every `status_interval`.
  strand_awaitable<> report_size() {
    while (!stopping_) {
      const auto due = deadline_after<Clock>(*settings_.status_interval);
      source_.report_size();
      while (!stopping_ && Clock::now() < due) co_await report_due_.wait_until(due);
    }
  }

  strand_awaitable<> expire_waiters() {
    while (!stopping_) {
      const auto now = Clock::now();
      const auto next = source_.expire(now);
      if (next <= now)
        co_await boost::asio::post(boost::asio::deferred);  // others on the context first
      else
        co_await deadline_.wait_until(next);
    }
  }

  /// One for one, as Elixir's supervisor: an actor whose user code threw is restarted alone and at once, until that
  /// happens too often.
  strand_awaitable<> supervise(actor& supervised) {
    for (;;) {
      std::string what;
      try {
        co_await supervised.run();
        co_return;
      } catch (...) {
        what = core::thrown_text();
      }
      auto& probe = supervised.probe();
      if (!stopping_ && restarts_.spend(Clock::now())) {
        probe.user_code_failed(what, "restart " + std::to_string(restarts_.spent()) + " of at most " +
                                         std::to_string(restarts_.limit()) + " in " +
                                         std::to_string(settings_.restart_window.count()) + " ms");
        co_await boost::asio::post(boost::asio::deferred);  // what throws each time must not keep stop() away
        continue;
      }
      probe.user_code_failed(what, stopping_ ? "while stopping" : "too often, stopping");
      probe.stopped();
      give_up();
      co_return;
    }
  }

  // At once, before another actor connects.
  void give_up() {
    if (stopping_) return;
    over_limit_();
    stop(errc::restart_limit);
  }

  const group_settings& settings_;
  source_type& source_;
  const std::function<void()> over_limit_;
  std::vector<std::unique_ptr<actor>> actors_;
  core::restart_budget<typename Clock::time_point> restarts_;
  condition<Clock> report_due_;
  condition<Clock> deadline_;  // the earliest of the waiters'
  condition<Clock> ended_;
  std::size_t living_ = 0;
  bool stopping_ = false;
  error_code result_;
};

}  // namespace conn_grpc::runtime
