// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_source.hpp"
#include "runtime/context_gate.hpp"
#include "runtime/directory.hpp"
#include "runtime/group_names.hpp"
#include "runtime/group_settings.hpp"
#include "runtime/last_resort.hpp"
#include "runtime/log_line.hpp"
#include "runtime/outage.hpp"
#include "runtime/strand.hpp"
#include "runtime/supervisor.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

/// The channels of one pool, as their owner sees them; all that runs is the supervisor's. A channel on its own is a
/// group of one.
///
/// The group is shared: its owner holds it, and so does each of its coroutines. All functions are thread-safe, but for
/// `add`.
template <class Clock, connector Connector>
class channel_group : public std::enable_shared_from_this<channel_group<Clock, Connector>>, public waiting_place {
 public:
  using channel_type = typename Connector::channel_type;
  using parked_get = typename channel_source<Clock, channel_type>::parked_get;
  using parked_size = typename channel_source<Clock, channel_type>::parked_size;
  using run_handler = boost::asio::any_completion_handler<void(error_code)>;

  /// @param mock when it is set, every get is answered by it.
  channel_group(const boost::asio::any_io_executor& executor, group_settings settings,
                std::function<channel_type()> mock = {})
      : settings_(std::move(settings)),
        source_(settings_, std::move(mock), [this] { deliver_later(); }),
        gate_(context_gate::make(executor)),
        names_(boost::asio::query(executor, boost::asio::execution::context), settings_, this),
        supervisor_(settings_, source_, [this] {
          over_limit_ = true;
          stop_handing_out();
        }) {}

  virtual ~channel_group() {
    names_.release();
    gate_->close();
  }
  channel_group(const channel_group&) = delete;
  channel_group& operator=(const channel_group&) = delete;

  /// Adds a channel; before anything else is called. The group must be owned by a shared_ptr.
  /// @param settings shared by the channels of the group, as `connector` is.
  void add(std::shared_ptr<const channel_settings> settings, std::string name,
           std::shared_ptr<const Connector> connector) {
    supervisor_.add(std::move(settings), std::move(name), std::move(connector),
                    observer_of(supervisor_.actors().size()));
  }

  [[nodiscard]] boost::asio::any_io_executor executor() const { return gate_->executor(); }

  /// The group that runs in this context under this name, or type key; null when none does.
  [[nodiscard]] static std::shared_ptr<channel_group> find(boost::asio::execution_context& context,
                                                           std::string_view name) {
    return std::static_pointer_cast<channel_group>(directory::find(context, name));
  }

  /// Throws what `mock` throws.
  [[nodiscard]] boost::system::result<channel_type> next() {
    return kept_alive([this](bool observed) { return source_.next(observed); });
  }

  /// Throws also when there is none, with the reason.
  [[nodiscard]] channel_type next_or_throw() {
    return kept_alive([this](bool observed) { return value_of(source_.next(observed)); });
  }

  /// Both for callers that may wait: asio::error::would_block or null when it is worth waiting, or others wait already.
  /// Then no user code has been called.
  [[nodiscard]] boost::system::result<channel_type> next_unless_waiting() {
    return kept_alive([this](bool observed) { return source_.next_unless_waiting(observed); });
  }
  // Flat, because g++ 12 otherwise calls the destructor of the result: a fifth of what a get with a timeout takes.
  [[nodiscard, gnu::flatten]] channel_type next_or_throw_unless_waiting() {
    return kept_alive([this](bool observed) {
      auto found = source_.next_unless_waiting(observed);
      if (!found && found.error() == boost::asio::error::would_block) return channel_type();
      return value_of(std::move(found));
    });
  }

  [[nodiscard]] auto size_unless_waiting(std::size_t needed) const { return source_.size_unless_waiting(needed); }

  /// See `channel_source`. The caller shares the group.
  /// @param handler posts to `home`: it may be called by any thread. Its cancellation, of any type, ends the waiting.
  void wait_for_channel(typename parked_get::handler_type handler, boost::asio::execution_context& home,
                        std::chrono::nanoseconds timeout) {
    const auto mine = source_.take_ticket();
    auto parked = parked_get::make(std::move(handler), home, {this->shared_from_this(), mine});
    if (source_.wait_for_channel(mine, std::move(parked), deadline_after<Clock>(timeout))) expire_earlier();
  }

  void wait_for_size(typename parked_size::handler_type handler, boost::asio::execution_context& home,
                     std::size_t needed, std::chrono::nanoseconds timeout) {
    const auto mine = source_.take_ticket();
    auto parked = parked_size::make(std::move(handler), home, {this->shared_from_this(), mine});
    if (source_.wait_for_size(mine, std::move(parked), needed, deadline_after<Clock>(timeout))) expire_earlier();
  }

  /// Of channels, connected or not.
  [[nodiscard]] std::size_t size() const { return supervisor_.actors().size(); }

  [[nodiscard]] pool_status status() const {
    pool_status all{.name = settings_.name, .expected_size = size(), .channels = {}};
    all.channels.reserve(all.expected_size);
    for (const auto& a : supervisor_.actors()) {
      all.channels.push_back(a->probe().status());
      all.current_size += all.channels.back().state == channel_state::connected ? 1 : 0;
    }
    return all;
  }

  /// Throws boost::system::system_error. The text names the pool and, when no channel is connected, the reason of the
  /// last failure.
  /// @param what was asked for, if that needs saying.
  [[noreturn]] void throw_unavailable(error_code why, std::string_view what = {}) const {
    std::string who = "conn_grpc " + settings_.label;
    if (!what.empty()) who.append(": ").append(what);
    if (why == errc::stopped && over_limit_) who.append(": ").append(make_error_code(errc::restart_limit).message());
    throw boost::system::system_error(why, with_reason_of_outage(std::move(who), why, supervisor_.actors()));
  }

  /// Runs all actors until `stop()`. Completes with already_started when it is running, with errc::name_taken when
  /// another one of its name is, and at once with errc::stopped when it has been stopped before, with
  /// errc::restart_limit if that was why. Cancellation, of any type, is a `stop()` that ends it with operation_aborted.
  /// @param handler may be called by any thread, in any function: it posts.
  void async_run(run_handler handler) {
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
      refused = names_.claim(this->shared_from_this());
      if (phase_ == phase::stopped) names_.release();  // meanwhile, and before there was anything to release
      if (!refused) at_exit = std::make_unique<stop_at_exit>(*this);
    } catch (...) {
      back_to_idle();
      throw;
    }
    if (refused) {
      back_to_idle();
      log_line(settings_.logger.get(), spdlog::level::err,
               "conn_grpc " + settings_.label + " was not started: " + refused.message());
      std::move(handler)(refused);
      return;
    }
    // Shared, because it is needed here when the gate is closed.
    const auto begin =
        std::make_shared<startup>(startup{this->shared_from_this(), std::move(at_exit), std::move(handler)});
    if (auto slot = boost::asio::get_associated_cancellation_slot(begin->handler); slot.is_connected())
      slot.assign([weak = this->weak_from_this()](boost::asio::cancellation_type) {
        if (const auto self = weak.lock()) self->stop(boost::asio::error::operation_aborted);
      });
    source_.open();
    if (gate_->post([begin](const strand_type& strand) { (*begin)(strand); })) return;
    stop();  // the context is gone
    std::move(begin->handler)(errc::stopped);
  }

  /// From now on `next()` is errc::stopped, and the name is free; `async_run` ends once every actor has released its
  /// connection.
  void stop(error_code result = {}) {
    const auto self = this->shared_from_this();  // a telemetry handler, called as a get ends, may destroy the pool
    if (stop_handing_out() == phase::running) on_strand([result](channel_group& g) { g.supervisor_.stop(result); });
  }

 private:
  enum class phase { idle, running, stopped };

  /// A mock, or a telemetry handler that is called for the get, may destroy the pool.
  template <class Get>
  auto kept_alive(Get get) {
    if (!source_.observed()) [[likely]]
      return get(false);
    return keeping_alive(get);
  }

  // A function of its own, so that a get without telemetry keeps no registers for it.
  template <class Get>
  [[gnu::noinline]] auto keeping_alive(Get get) {
    const auto self = this->shared_from_this();
    return get(true);
  }

  channel_type value_of(boost::system::result<channel_type> found) const {
    if (!found) throw_unavailable(found.error());
    return *std::move(found);
  }

  /// However the run ends, nothing is handed out after it, and the status says so: also when the context is destroyed,
  /// and the coroutine's frame, or the handler that would have made it, with it.
  class stop_at_exit {
   public:
    explicit stop_at_exit(channel_group& group) : group_(group) {}
    ~stop_at_exit() {
      group_.stop_handing_out();
      for (const auto& a : group_.supervisor_.actors()) a->probe().stopped();
    }
    stop_at_exit(const stop_at_exit&) = delete;
    stop_at_exit& operator=(const stop_at_exit&) = delete;

   private:
    channel_group& group_;
  };

  // On the strand, and posted to it: what co_spawn runs at once may be user code, which may call back into the group.
  struct startup {
    std::shared_ptr<channel_group> group;
    std::unique_ptr<stop_at_exit> at_exit;
    run_handler handler;

    void operator()(const strand_type& strand) {
      const auto self = std::move(group);
      boost::asio::co_spawn(
          strand, self->run(self, std::move(at_exit), strand),
          [self, handler = std::move(handler)](const std::exception_ptr& failed) mutable {
            std::move(handler)(failed ? make_error_code(errc::restart_limit) : self->supervisor_.result());
          });
    }
  };

  /// @return what it was before.
  phase stop_handing_out() {
    const auto was = phase_.exchange(phase::stopped);
    source_.close();
    names_.release();
    return was;
  }

  void back_to_idle() noexcept {
    names_.release();
    auto was = phase::running;
    phase_.compare_exchange_strong(was, phase::idle);
  }

  void cancel(ticket which) override { source_.cancel(which); }

  /// To the executor that the group was made with, or, when that one throws, too, or is gone, to the system executor.
  void post(detail::refused_work work) const noexcept override {
    detail::completion posted(std::move(work));
    if (!gate_->try_post(posted)) post_to_system_executor(std::move(posted));
  }

  /// Completes the waiters that a thread has left, a slice for each turn of the strand, so that others on the context
  /// run in between. Destroyed uncalled, with its context or because that has gone, it completes all of them at once.
  class delivery {
   public:
    explicit delivery(std::shared_ptr<channel_group> group) : group_(std::move(group)) {}
    ~delivery() {
      while (group_ && group_->source_.deliver_slice()) continue;
    }
    delivery(const delivery&) = delete;
    delivery& operator=(const delivery&) = delete;

    void operator()() {
      const auto group = std::move(group_);
      if (group->source_.deliver_slice()) group->deliver_later();
    }

   private:
    std::shared_ptr<channel_group> group_;
  };

  // Shared, because what is posted may be destroyed where it must not reach back.
  void deliver_later() noexcept {
    try {
      const auto rest = std::make_shared<delivery>(this->shared_from_this());
      gate_->post([rest](const strand_type&) { (*rest)(); });
    } catch (...) {  // no memory to do it later
      while (source_.deliver_slice()) continue;
    }
  }

  void expire_earlier() {
    on_strand([](channel_group& g) { g.supervisor_.expire_earlier(); });
  }

  /// Later, unless the group or its context is destroyed first.
  template <class Do>
  void on_strand(Do what) {
    gate_->post([weak = this->weak_from_this(), what](const strand_type&) {
      if (const auto self = weak.lock()) what(*self);
    });
  }

  // Withdraws a channel that was lost, on the thread that knows it first, and has the actor look at its connection. It
  // owns nothing: gRPC may keep it for as long as a user keeps the channel. For the time of a call it keeps the group
  // alive, and leaves the release to the strand, so that gRPC's thread destroys a group only when the context is gone.
  connection_observer<channel_type> observer_of(std::size_t slot) {
    return [gate = std::weak_ptr(gate_), weak = this->weak_from_this(), slot](const channel_type& lost) {
      const auto open = gate.lock();
      auto self = open ? weak.lock() : nullptr;
      if (!self) return;
      if (lost) self->source_.withdraw(slot, lost);
      open->post(
          [group = std::move(self), slot](const strand_type&) { group->supervisor_.actors()[slot]->look_again(); });
    };
  }

  strand_awaitable<> run(std::shared_ptr<channel_group> self, std::unique_ptr<stop_at_exit> at_exit,
                         strand_type strand) {
    const auto stop_whatever_happens = std::move(at_exit);
    co_await supervisor_.run(self, std::move(strand));
  }

  const group_settings settings_;
  channel_source<Clock, channel_type> source_;
  const std::shared_ptr<context_gate> gate_;
  group_names names_;
  std::atomic<phase> phase_{phase::idle};
  std::atomic<bool> over_limit_{false};  // why it is stopped
  supervisor<Clock, Connector> supervisor_;
};

}  // namespace conn_grpc::runtime
