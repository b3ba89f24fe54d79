// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_actor.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/closable_strand.hpp"
#include "runtime/connector.hpp"
#include "runtime/deadline.hpp"
#include "runtime/log_line.hpp"
#include "runtime/pool_names.hpp"
#include "runtime/roster.hpp"
#include "runtime/strand.hpp"
#include "runtime/supervisor.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <utility>

namespace conn_grpc::runtime {

/// The life of a pool: it is idle, runs, may drain, and is stopped. All functions are
/// thread-safe.
///
/// @tparam Clock as for the pool.
template <class Clock>
class pool_life {
 public:
  using run_handler = boost::asio::any_completion_handler<void(error_code)>;
  /// The pool, which owns this object. `async_run` and `async_drain` share it until their
  /// handlers are called.
  using owner_type = std::shared_ptr<void>;

  pool_life(const checked_pool_options& options, channel_picker<Clock>& picker, std::shared_ptr<closable_strand> strand,
            pool_names keys, const roster<channel_actor<Clock>>& channels, supervisor<Clock>& supervisor,
            const connector& connects)
      : options_(options),
        picker_(picker),
        strand_(std::move(strand)),
        names_(std::move(keys)),
        channels_(channels),
        supervisor_(supervisor),
        connector_(connects) {}

  ~pool_life() { names_.release(); }
  pool_life(const pool_life&) = delete;
  pool_life& operator=(const pool_life&) = delete;

  /// True once the pool hands out no channel any more, though some may still be connected.
  [[nodiscard]] bool has_withdrawn_all() const { return phase_ == phase::draining || is_stopped(); }
  [[nodiscard]] bool is_stopped() const { return phase_ == phase::stopped; }
  /// True when the restart limit has stopped the pool.
  [[nodiscard]] bool is_over_limit() const { return over_limit_; }

  /// Runs all actors until `stop()`. Completes with already_started when the pool is
  /// running, and with errc::name_taken when another pool of its name is running.
  /// Completes at once when the pool has been stopped before: with errc::restart_limit if
  /// that was the reason, else with errc::stopped. Cancellation, of any type, is a
  /// `stop()`; then it completes with operation_aborted.
  /// @param handler posts itself, so any thread may call it, in any function.
  void async_run(const owner_type& owner, run_handler handler) {
    auto was = phase::idle;
    if (!phase_.compare_exchange_strong(was, phase::running)) {
      std::move(handler)(was == phase::running ? boost::asio::error::already_started
                         : over_limit_         ? make_error_code(errc::restart_limit)
                                               : make_error_code(errc::stopped));
      return;
    }
    error_code refused;
    std::unique_ptr<stop_at_exit> at_exit;
    try {
      refused = names_.claim(owner);
      if (phase_ == phase::stopped) names_.release();  // stop() was called before there was a name to release
      if (!refused) at_exit = std::make_unique<stop_at_exit>(*this);
    } catch (...) {
      back_to_idle();
      throw;
    }
    if (refused) {
      back_to_idle();
      log_line(options_.logger.get(), spdlog::level::err,
               "conn_grpc " + options_.label + " was not started: " + refused.message());
      std::move(handler)(refused);
      return;
    }
    // Shared, because the handler is still needed here when the strand is closed.
    const auto begin = std::make_shared<startup>(startup{*this, owner, std::move(at_exit), std::move(handler)});
    stop_when_cancelled(owner, begin->handler, boost::asio::error::operation_aborted);
    picker_.open();
    if (strand_->post([begin](const strand_type& strand) { (*begin)(strand); })) return;
    stop(owner);  // the context is gone
    std::move(begin->handler)(errc::stopped);
  }

  /// From now on every get ends in errc::stopped, and the name is free. `async_run`
  /// completes once every actor has released its connection.
  void stop(const owner_type& owner, error_code result = {}) {
    const auto was = stop_handing_out();
    if (was == phase::running || was == phase::draining)
      strand_->post([this, weak = std::weak_ptr(owner), result](const strand_type&) {
        if (const auto alive = weak.lock()) supervisor_.stop(result);
      });
  }

  /// As `stop()`, on the strand, where the supervisor stops the actors itself.
  void stop_over_limit() {
    over_limit_ = true;
    stop_handing_out();
  }

  /// From now on every get ends in errc::stopped. Calls `stop()` when no RPC is in flight,
  /// or when the time is over, and then the handler. Cancellation, of any type, is a
  /// `stop()`.
  /// @param handler posts itself, so any thread may call it, in any function.
  void async_drain(const owner_type& owner, run_handler handler, std::chrono::nanoseconds timeout) {
    auto was = phase::running;
    if (!phase_.compare_exchange_strong(was, phase::draining)) {
      if (was == phase::idle) stop(owner);
      if (was != phase::draining) return std::move(handler)(error_code());
    }
    end_gets();
    stop_when_cancelled(owner, handler, {});
    const auto drained =
        std::make_shared<drain>(drain{*this, owner, std::move(handler), deadline_after<Clock>(timeout)});
    if (!strand_->post([drained](const strand_type& strand) { (*drained)(strand); }))
      std::move(drained->handler)(error_code());
  }

 private:
  enum class phase { idle, running, draining, stopped };

  /// Ends the handing out, and sets the status to stopped, however the run ends. The run
  /// also ends when the context is destroyed, with the coroutine's frame, or with the
  /// handler that would have made it.
  class stop_at_exit {
   public:
    explicit stop_at_exit(pool_life& life) : life_(life) {}
    ~stop_at_exit() {
      life_.stop_handing_out();
      for (const auto all = life_.channels_.all(); const auto& channel : *all)
        channel->notify({.what = channel_transition::step::stopped});
    }
    stop_at_exit(const stop_at_exit&) = delete;
    stop_at_exit& operator=(const stop_at_exit&) = delete;

   private:
    pool_life& life_;
  };

  // Is posted to the strand, and runs there. co_spawn may run user code at once, which
  // may call back into the pool.
  struct startup {
    pool_life& life;
    owner_type owner;
    std::unique_ptr<stop_at_exit> at_exit;
    run_handler handler;

    void operator()(const strand_type& strand) {
      const auto pool = std::move(owner);
      boost::asio::co_spawn(
          strand, life.run(pool, std::move(at_exit), strand),
          [pool, &life = life, handler = std::move(handler)](const std::exception_ptr& failed) mutable {
            std::move(handler)(failed ? make_error_code(errc::restart_limit) : life.supervisor_.result());
          });
    }
  };

  // Is posted to the strand, and runs there.
  struct drain {
    pool_life& life;
    owner_type owner;
    run_handler handler;
    typename Clock::time_point deadline;

    void operator()(const strand_type& strand) {
      const auto pool = std::move(owner);
      boost::asio::co_spawn(strand, life.supervisor_.await_calls(life.connector_, deadline),
                            [pool, &life = life, handler = std::move(handler)](const std::exception_ptr&) mutable {
                              life.stop(pool);
                              std::move(handler)(error_code());
                            });
    }
  };

  strand_awaitable<> run(owner_type owner, std::unique_ptr<stop_at_exit> at_exit, strand_type strand) {
    const auto stop_whatever_happens = std::move(at_exit);
    co_await supervisor_.run(owner, std::move(strand));
  }

  /// @param result of `async_run` then.
  void stop_when_cancelled(const owner_type& owner, const run_handler& handler, error_code result) {
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler); slot.is_connected())
      slot.assign([this, weak = std::weak_ptr(owner), result](boost::asio::cancellation_type) {
        if (const auto alive = weak.lock()) stop(alive, result);
      });
  }

  /// @return the phase before.
  phase stop_handing_out() {
    const auto was = phase_.exchange(phase::stopped);
    end_gets();
    return was;
  }

  void end_gets() {
    picker_.close();
    names_.release();
  }

  void back_to_idle() noexcept {
    names_.release();
    auto was = phase::running;
    phase_.compare_exchange_strong(was, phase::idle);
  }

  const checked_pool_options& options_;
  channel_picker<Clock>& picker_;
  const std::shared_ptr<closable_strand> strand_;
  pool_names names_;
  const roster<channel_actor<Clock>>& channels_;
  supervisor<Clock>& supervisor_;
  const connector& connector_;
  std::atomic<phase> phase_{phase::idle};
  std::atomic<bool> over_limit_{false};
};

}  // namespace conn_grpc::runtime
