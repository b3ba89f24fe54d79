// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/retry_budget.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/closable_strand.hpp"
#include "runtime/connector.hpp"
#include "runtime/deadline.hpp"
#include "runtime/last_resort.hpp"
#include "runtime/log_line.hpp"
#include "runtime/name_registry.hpp"
#include "runtime/pool_life.hpp"
#include "runtime/pool_names.hpp"
#include "runtime/roster.hpp"
#include "runtime/status_of.hpp"
#include "runtime/strand.hpp"
#include "runtime/supervisor.hpp"
#include "runtime/unavailable_reason.hpp"
#include "runtime/waiter_delivery.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// The interface of a pool for its owner. The supervisor runs the pool. A channel on its
/// own is a pool of one.
///
/// The pool is shared by its owner and by each of its coroutines. All functions are
/// thread-safe.
template <class Clock>
class pool_core : public std::enable_shared_from_this<pool_core<Clock>>, public waiting_place, private lease_observer {
 public:
  using result_type = typename channel_picker<Clock>::result_type;
  using parked_get = typename channel_picker<Clock>::parked_get;
  using leases_type = typename channel_picker<Clock>::leases_type;
  using parked_size = typename channel_picker<Clock>::parked_size;
  using run_handler = typename pool_life<Clock>::run_handler;

  /// @param mock when it is set, it answers every get.
  pool_core(const boost::asio::any_io_executor& executor, std::shared_ptr<const checked_pool_options> options,
            std::shared_ptr<const connector> connects, std::function<channel_ptr()> mock = {})
      : shared_options_(std::move(options)),
        connector_(std::move(connects)),
        picker_(
            options_, std::move(mock), [this] { return observer(); }, [this] { deliver_later(); }),
        strand_(closable_strand::make(executor)),
        attempts_(options_.max_connecting),
        environment_{options_,
                     *connector_,
                     picker_,
                     counters_,
                     [this](std::size_t slot, std::uint64_t connection) { return observer_of(slot, connection); },
                     attempts_,
                     [this](const channel_identity& of, bool connected) { supervisor_.attempt_ended(of, connected); }},
        addresses_(options_, channels_,
                   [this](channel_identity its) {
                     return std::make_shared<actor>(environment_,
                                                    std::make_shared<const channel_identity>(std::move(its)));
                   }),
        supervisor_(
            options_, picker_, channels_, addresses_, counters_, [this] { life_.stop_over_limit(); },
            [this] { look_up(); }),
        life_(options_, picker_, strand_,
              pool_names(boost::asio::query(executor, boost::asio::execution::context), options_, this), channels_,
              supervisor_, *connector_) {
    if (options_.resolve) return;
    supervisor_.set_addresses(options_.addresses.empty() ? std::vector{options_.address} : options_.addresses);
  }

  virtual ~pool_core() { strand_->close(); }
  pool_core(const pool_core&) = delete;
  pool_core& operator=(const pool_core&) = delete;

  [[nodiscard]] boost::asio::any_io_executor executor() const { return strand_->executor(); }

  /// The pool that runs in this context under this name, or type key. Null when there is
  /// none.
  [[nodiscard]] static std::shared_ptr<pool_core> find(boost::asio::execution_context& context, std::string_view name) {
    return std::static_pointer_cast<pool_core>(name_registry::find(context, name));
  }

  /// The channel of a get; see `channel_picker`. Throws what `mock` throws. A mock, or a
  /// telemetry handler that is called for the get, may destroy the pool.
  template <if_none Then>
  [[nodiscard]] result_type pick() {
    if (!picker_.is_observed()) [[likely]]
      return picker_.template pick<Then>();
    return pick_observed<Then>();
  }

  /// As `pick`, but also throws when there is no channel; see `throw_unavailable`. Null
  /// for asio::error::would_block.
  // gnu::flatten, because g++ 12 otherwise calls the destructor of the result, which
  // takes a fifth of a get with a timeout.
  template <if_none Then>
  [[nodiscard, gnu::flatten]] channel_ptr pick_or_throw() {
    if (!picker_.is_observed()) [[likely]]
      return value_of<Then>(picker_.template pick<Then>());
    return pick_observed_or_throw<Then>();
  }

  /// See `lease_picker::pick`. Throws what `mock` throws.
  template <if_none Then>
  [[nodiscard]] typename leases_type::result_type lease_channel(const member* avoided = nullptr) {
    const auto self = picker_.is_observed() ? this->shared_from_this() : nullptr;
    auto leased = picker_.leases().template pick<Then>(avoided);
    if (!leased && leased.error() == leases_type::all_are_full()) grow_with_load();
    return leased;
  }

  /// The channel of a lease of this pool. Null when the user's mock returned it.
  [[nodiscard]] std::shared_ptr<const channel_identity> channel_of(const lease& leased) const {
    return picker_.leases().channel_of(leased);
  }

  /// Success when there are that many channels. Null when the caller has to wait for them.
  [[nodiscard]] auto size_unless_waiting(std::size_t needed) const { return picker_.size_unless_waiting(needed); }

  /// See `channel_picker`. The caller shares the pool.
  /// @param handler posts itself to `handler_context`, so any thread may call it. Its
  /// cancellation, of any type, ends the waiting.
  void wait_for_channel(typename parked_get::handler_type handler, boost::asio::execution_context& handler_context,
                        std::chrono::nanoseconds timeout) {
    const auto mine = picker_.take_ticket();
    auto parked = parked_get::make(std::move(handler), handler_context, {this->shared_from_this(), mine});
    if (picker_.wait_for_channel(mine, std::move(parked), deadline_after<Clock>(timeout))) expire_earlier();
  }

  void wait_for_lease(typename leases_type::parked_type::handler_type handler,
                      boost::asio::execution_context& handler_context, std::chrono::nanoseconds timeout) {
    const auto mine = picker_.take_ticket();
    auto parked = leases_type::parked_type::make(std::move(handler), handler_context, {this->shared_from_this(), mine});
    if (picker_.leases().wait(mine, std::move(parked), deadline_after<Clock>(timeout))) expire_earlier();
    grow_with_load();
  }

  void wait_for_size(typename parked_size::handler_type handler, boost::asio::execution_context& handler_context,
                     std::size_t needed, std::chrono::nanoseconds timeout) {
    const auto mine = picker_.take_ticket();
    auto parked = parked_size::make(std::move(handler), handler_context, {this->shared_from_this(), mine});
    if (picker_.wait_for_size(mine, std::move(parked), needed, deadline_after<Clock>(timeout))) expire_earlier();
  }

  [[nodiscard]] const checked_pool_options& options() const { return options_; }

  /// The number of channels that there are to be.
  [[nodiscard]] std::size_t size() const { return picker_.expected_size(); }

  [[nodiscard]] pool_status status() const {
    auto now = status_of(options_.name, picker_.expected_size(), life_.has_withdrawn_all(), *channels_.all());
    now.waiting = picker_.waiting();
    if (auto failure = supervisor_.look_up_failure(); !failure.empty())
      now.addresses.push_back({.address = options_.address, .last_error = std::move(failure)});
    return now;
  }

  /// Connects to these addresses, and withdraws the channels to others once the new ones
  /// have connected.
  void set_addresses(std::vector<std::string> addresses) {
    change_on_strand("the addresses were not changed",
                     [to = std::move(addresses)](pool_core& p) { p.supervisor_.set_addresses(to); });
  }

  /// Changes the number of channels to each address. Completes when that is done, with
  /// errc::stopped after `stop()`, with invalid_argument above `most_channels`, or with
  /// not_enough_memory.
  /// @param handler posts itself, so any thread may call it, in any function.
  void async_resize(run_handler handler, std::size_t size) {
    const auto call = std::make_shared<run_handler>(std::move(handler));
    const bool is_posted = strand_->post([self = this->shared_from_this(), call, size](const strand_type&) {
      error_code failed;
      try {
        if (self->life_.is_stopped()) failed = errc::stopped;
        if (!failed) failed = self->supervisor_.set_size(size);
      } catch (const std::bad_alloc&) {
        failed = make_error_code(boost::system::errc::not_enough_memory);
      }
      std::move (*call)(failed);
    });
    if (!is_posted) std::move (*call)(errc::stopped);
  }

  /// Replaces every connection.
  void refresh() {
    change_on_strand("not all connections are refreshed", [](pool_core& p) {
      for (const auto all = p.channels_.all(); const auto& channel : *all) channel->replace("refresh", false);
    });
  }

  /// Replaces the connection of this channel, if the pool still hands it out.
  void suspect(const channel_ptr& suspected, std::string why) {
    if (why.empty()) why = "suspect";
    change_on_strand("a suspect connection is not replaced", [suspected, why = std::move(why)](pool_core& p) {
      for (const auto all = p.channels_.all(); const auto& channel : *all)
        if (channel->serves(suspected.get())) channel->replace(why, true);
    });
  }

  /// Throws boost::system::system_error with `unavailable_text`.
  /// @param what the caller asked for, when the text has to say it.
  [[noreturn]] void throw_unavailable(error_code why, std::string_view what = {}) const {
    throw boost::system::system_error(why, unavailable_text(why, what));
  }

  /// Names the pool and, when no channel is connected, the reason of the last failure.
  [[nodiscard]] std::string unavailable_text(error_code why, std::string_view what = {}) const {
    std::string text = "conn_grpc " + options_.label;
    if (!what.empty()) text.append(": ").append(what);
    if (why == errc::stopped && life_.is_over_limit())
      text.append(": ").append(make_error_code(errc::restart_limit).message());
    if (why == errc::not_connected && picker_.leases().is_full())
      text.append(": every connected channel has ")
          .append(std::to_string(options_.max_in_flight))
          .append(" leases (max_in_flight)");
    const auto all = channels_.all();
    const auto look_up = options_.resolve ? look_up_text(all->empty()) : why_no_channel(all->empty());
    return with_unavailable_reason(std::move(text), why, *all, look_up);
  }

  /// For what is to be called on the strand, also by what outlives the pool.
  [[nodiscard]] const std::shared_ptr<closable_strand>& strand() const { return strand_; }

  /// The retries of the pool's RPCs.
  [[nodiscard]] core::retry_budget<typename Clock::time_point>& retries() { return retries_; }

  // See `pool_life`.
  void async_run(run_handler handler) { life_.async_run(this->shared_from_this(), std::move(handler)); }
  // A telemetry handler, called as a get ends, may destroy the pool.
  void stop() { life_.stop(this->shared_from_this()); }
  void async_drain(run_handler handler, std::chrono::nanoseconds timeout) {
    life_.async_drain(this->shared_from_this(), std::move(handler), timeout);
  }

 private:
  using actor = channel_actor<Clock>;

  // Separate functions, so that a get without telemetry saves no registers for them.
  template <if_none Then>
  [[gnu::noinline]] result_type pick_observed() {
    const auto self = this->shared_from_this();
    return picker_.template pick_observed<Then>();
  }
  template <if_none Then>
  [[gnu::noinline]] channel_ptr pick_observed_or_throw() {
    const auto self = this->shared_from_this();
    return value_of<Then>(picker_.template pick_observed<Then>());
  }

  template <if_none Then>
  channel_ptr value_of(result_type picked) const {
    if (picked) return *std::move(picked);
    if (Then == if_none::wait && picked.error() == boost::asio::error::would_block) return nullptr;
    throw_unavailable(picked.error());
  }

  void cancel(ticket which) override { picker_.cancel(which); }

  /// Posts to the executor that the pool was made with. When that executor throws, or is
  /// gone, posts to the system executor.
  void post(detail::refused_work work) const noexcept override {
    detail::completion posted(std::move(work));
    if (!strand_->try_post(posted)) post_to_system_executor(std::move(posted));
  }

  std::weak_ptr<lease_observer> observer() {
    return std::shared_ptr<lease_observer>(this->weak_from_this().lock(), this);
  }
  void channel_has_room() noexcept override { picker_.leases().serve(); }
  void connection_is_suspect(const member& suspected, std::string why) override {
    suspect(suspected.channel, std::move(why));
  }

  void deliver_later() noexcept {
    waiter_delivery<channel_picker<Clock>>::begin(picker_, this->weak_from_this(), strand_);
  }

  // A lease was refused, or waits.
  void grow_with_load() noexcept {
    if (!options_.is_elastic() || !supervisor_.lease_was_refused() || is_growing_.exchange(true)) return;
    try {
      on_strand([](pool_core& p) {
        p.is_growing_ = false;
        p.supervisor_.look_at_load();
      });
    } catch (...) {  // the executor threw: the next lease that waits asks again
      is_growing_ = false;
    }
  }

  void expire_earlier() {
    on_strand([](pool_core& p) { p.supervisor_.expire_earlier(); });
  }

  /// As `on_strand`, unless the pool has been stopped. Without memory it does nothing.
  template <class Do>
  void change_on_strand(std::string_view consequence, const Do& what) {
    on_strand([what, consequence](pool_core& p) {
      if (p.life_.is_stopped()) return;
      try {
        what(p);
      } catch (const std::bad_alloc&) {
        log_line(p.options_.logger.get(), spdlog::level::err, consequence);
      }
    });
  }

  /// Calls `what` on the strand later, unless the pool or its context is destroyed first.
  template <class Do>
  void on_strand(const Do& what) {
    strand_->post([weak = this->weak_from_this(), what](const strand_type&) {
      if (const auto self = weak.lock()) what(*self);
    });
  }

  // Withdraws a connection that is lost, or does not serve, on the thread that notices it
  // first, and has the actor check it. The observer owns nothing, because gRPC may keep it
  // for as long as a user keeps the channel. During a call it keeps the pool alive, and
  // leaves the release to the strand. So gRPC's thread destroys a pool only when the
  // context is gone.
  connection_observer observer_of(std::size_t slot, std::uint64_t id) {
    return [strand = std::weak_ptr(strand_), weak = this->weak_from_this(), slot, id](connection_change change) {
      const auto open = strand.lock();
      auto self = open ? weak.lock() : nullptr;
      if (!self) return;
      if (change == connection_change::unusable) self->picker_.withdraw(slot, id);
      if (change == connection_change::idle) self->picker_.withdraw_unless_last(slot, id);
      const bool is_lost = change == connection_change::unusable;
      open->post([pool = std::move(self), slot, is_lost](const strand_type&) {
        if (const auto channel = pool->channels_.find(slot)) channel->recheck();
        if (is_lost) pool->supervisor_.connection_lost();
      });
    };
  }

  // The look-up may last longer than the pool and its context.
  void look_up() {
    options_.resolve([strand = std::weak_ptr(strand_), weak = this->weak_from_this()](resolution found) {
      const auto open = strand.lock();
      auto self = open ? weak.lock() : nullptr;
      if (!self) return;
      open->post([pool = std::move(self), found = std::move(found)](const strand_type&) mutable {
        pool->supervisor_.resolved(std::move(found));
      });
    });
  }

  [[nodiscard]] std::string why_no_channel(bool has_no_channel) const {
    if (!has_no_channel) return {};
    return options_.pool_size == 0 ? "pool_size is 0" : "it has no addresses, or its size is 0";
  }

  // What the last look-up has to do with there being no channel.
  [[nodiscard]] std::string look_up_text(bool has_no_address) const {
    auto failure = supervisor_.look_up_failure();
    if (failure.empty() && has_no_address) return "the look-up of " + options_.address + " has not ended yet";
    return failure;
  }

  const std::shared_ptr<const checked_pool_options> shared_options_;
  const checked_pool_options& options_ = *shared_options_;
  const std::shared_ptr<const connector> connector_;
  channel_picker<Clock> picker_;
  const std::shared_ptr<closable_strand> strand_;
  core::retry_budget<typename Clock::time_point> retries_{Clock::now()};
  std::atomic<bool> is_growing_{false};
  actor_counters counters_;
  attempt_limiter<Clock> attempts_;
  const actor_environment<Clock> environment_;
  roster<actor> channels_;
  address_set<actor> addresses_;
  supervisor<Clock> supervisor_;
  pool_life<Clock> life_;
};

}  // namespace conn_grpc::runtime
