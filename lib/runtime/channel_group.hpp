// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/restart_budget.hpp"
#include "core/thrown_text.hpp"
#include "runtime/channel_actor.hpp"
#include "runtime/channel_source.hpp"
#include "runtime/context_gate.hpp"
#include "runtime/directory.hpp"
#include "runtime/group_settings.hpp"
#include "runtime/log_line.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// The actors of one pool, and their supervisor. A channel on its own is a group of one.
///
/// The group is shared: its owner holds it, and so does each coroutine of it. The owner's functions are thread-safe;
/// the coroutines all run on one strand, and only they touch the actors. One strand for all, because every actor's
/// news ends up in the one rotation: a strand each would hop for every connect and every loss, and gain nothing, since
/// gRPC does the work on its own threads.
template <class Clock, connector Connector>
class channel_group : public std::enable_shared_from_this<channel_group<Clock, Connector>> {
 public:
  using channel_type = typename Connector::channel_type;
  using run_handler = boost::asio::any_completion_handler<void(error_code)>;

  /// @param mock when it is set, every get is answered by it.
  channel_group(const boost::asio::any_io_executor& executor, group_settings settings,
                std::function<channel_type()> mock = {})
      : settings_(std::move(settings)),
        source_(settings_, std::move(mock)),
        gate_(context_gate::make(executor)),
        names_(directory::of(boost::asio::query(executor, boost::asio::execution::context))),
        restarts_(settings_.max_restarts, settings_.restart_window) {}

  ~channel_group() {
    names_->release(this);
    gate_->close();
  }
  channel_group(const channel_group&) = delete;
  channel_group& operator=(const channel_group&) = delete;

  /// Adds a channel; before anything else is called. The group must be owned by a shared_ptr.
  void add(channel_settings settings, const Connector& connector) {
    const std::size_t slot = actors_.size();
    source_.add_slot(settings.name);
    actors_.push_back(std::make_unique<actor>(std::move(settings), connector, rotation_, slot, news_for(slot)));
  }

  [[nodiscard]] boost::asio::any_io_executor executor() const { return gate_->executor(); }

  /// The group that runs in this context under this name, or type key; null when none does.
  [[nodiscard]] static std::shared_ptr<channel_group> find(boost::asio::execution_context& context,
                                                           std::string_view name) {
    return std::static_pointer_cast<channel_group>(directory::find(context, name));
  }

  /// Throws what `mock` throws.
  [[nodiscard]] boost::system::result<channel_type> next() {
    if (!source_.observed()) [[likely]]
      return rotation_.next();
    const auto self = this->shared_from_this();  // a mock or a handler may destroy the pool
    return source_.next_observed();
  }

  [[nodiscard]] pool_status status() const {
    pool_status all{.name = settings_.name, .expected_size = actors_.size(), .channels = {}};
    all.channels.reserve(actors_.size());
    for (const auto& a : actors_) {
      all.channels.push_back(a->probe().status());
      all.current_size += all.channels.back().state == channel_state::connected ? 1 : 0;
    }
    return all;
  }

  /// Throws boost::system::system_error; the text says who cannot serve and, while nothing is connected, what the last
  /// attempt failed with. During an outage the first channel that is down and knows why answers.
  [[noreturn]] void throw_unavailable(error_code why) const {
    std::string who = "conn_grpc " + settings_.label;
    if (why == errc::not_connected) {
      for (const auto& a : actors_) {
        const auto status = a->probe().status();
        if (status.state == channel_state::connected || status.last_error.empty()) continue;
        who += ": " + status.name + ": " + status.last_error;
        break;
      }
    }
    throw boost::system::system_error(why, who);
  }

  /// Runs all actors until `stop()`. Completes with already_started when it is running, with errc::name_taken when
  /// another one of its name is, and at once when it has been stopped before: with success, with errc::restart_limit if
  /// that was why, or with errc::stopped when its context is gone. Cancellation, of any type, is a `stop()` that ends
  /// it with operation_aborted.
  /// @param handler may be called by any thread, in any function: it posts.
  void async_run(run_handler handler) {
    auto was = phase::idle;
    if (!phase_.compare_exchange_strong(was, phase::running)) {
      std::move(handler)(was == phase::running ? boost::asio::error::already_started
                         : over_limit_         ? make_error_code(errc::restart_limit)
                                               : error_code());
      return;
    }
    if (const auto refused = claim_names()) {
      was = phase::running;
      phase_.compare_exchange_strong(was, phase::idle);
      log_line(settings_.logger.get(), spdlog::level::err,
               "conn_grpc " + settings_.label + " was not started: " + refused.message());
      std::move(handler)(refused);
      return;
    }
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler); slot.is_connected())
      slot.assign([weak = this->weak_from_this()](boost::asio::cancellation_type) {
        if (const auto self = weak.lock()) self->stop(boost::asio::error::operation_aborted);
      });
    rotation_.open();
    startup begin{this->shared_from_this(), std::make_unique<stop_at_exit>(*this), std::move(handler)};
    if (gate_->post(std::move(begin))) return;
    stop();  // the context is gone
    std::move(begin.handler)(errc::stopped);
  }

  /// From now on `next()` is errc::stopped, and the name is free; `async_run` ends once every actor has let go of its
  /// connection.
  void stop(error_code result = {}) {
    if (stop_handing_out() == phase::running)
      gate_->post([weak = this->weak_from_this(), result](const strand_type&) {
        if (const auto self = weak.lock()) self->stop_actors(result);
      });
  }

 private:
  using actor = channel_actor<Clock, Connector>;
  enum class phase { idle, running, stopped };

  /// However it ends, nothing is handed out after it, and nobody is told otherwise: also when the context is destroyed,
  /// and the coroutine's frame, or what was to become one, with it.
  class stop_at_exit {
   public:
    explicit stop_at_exit(channel_group& group) : group_(group) {}
    ~stop_at_exit() {
      group_.stop_handing_out();
      for (const auto& a : group_.actors_) a->probe().stopped();
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
      boost::asio::co_spawn(strand, group->run(group, std::move(at_exit), strand),
                            [group = group, handler = std::move(handler)](const std::exception_ptr& failed) mutable {
                              std::move(handler)(failed ? make_error_code(errc::restart_limit) : group->result_);
                            });
    }
  };

  /// @return what it was before.
  phase stop_handing_out() {
    const auto was = phase_.exchange(phase::stopped);
    rotation_.close();
    names_->release(this);
    return was;
  }

  error_code claim_names() {
    const auto self = this->shared_from_this();
    if (!settings_.type_key.empty() && !names_->claim(settings_.type_key, self))
      return boost::asio::error::already_started;
    if (!settings_.name.empty() && !names_->claim(settings_.name, self)) {
      names_->release(this);
      return errc::name_taken;
    }
    if (phase_ == phase::stopped) names_->release(this);  // meanwhile, and before there was anything to release
    return {};
  }

  // Tells an actor, from whatever thread, that its connection has news. It owns nothing: gRPC may hold on to it for as
  // long as a user holds on to the channel, and must not be the one who destroys a group.
  std::function<void()> news_for(std::size_t slot) {
    return [gate = std::weak_ptr(gate_), weak = this->weak_from_this(), slot] {
      if (const auto open = gate.lock())
        open->post([weak, slot](const strand_type&) {
          if (const auto self = weak.lock()) self->actors_[slot]->look_again();
        });
    };
  }

  boost::asio::awaitable<void> run(std::shared_ptr<channel_group> self, std::unique_ptr<stop_at_exit> at_exit,
                                   strand_type strand) {
    const auto stop_whatever_happens = std::move(at_exit);
    if (settings_.is_pool()) spawn(self, strand, report_size());
    for (const auto& a : actors_) {
      spawn(self, strand, supervise(*a));
      co_await boost::asio::post(boost::asio::deferred);  // let others on the context run between two attempts
    }
    while (living_ > 0 || !stopping_) co_await ended_.wait();
    while (!rotation_.reclaim()) co_await ended_.wait_until(Clock::now() + std::chrono::milliseconds(1));
  }

  // `run` does not end before the child has.
  void spawn(const std::shared_ptr<channel_group>& self, const strand_type& strand,
             boost::asio::awaitable<void> child) {
    ++living_;
    boost::asio::co_spawn(strand, std::move(child), [self](const std::exception_ptr& failed) {
      --self->living_;
      self->ended_.notify();
      if (failed) self->stop(errc::restart_limit);
    });
  }

  /// At once, and then every `status_interval`.
  boost::asio::awaitable<void> report_size() {
    while (!stopping_) {
      const auto due = deadline_after<Clock>(*settings_.status_interval);
      source_.report_size();
      while (!stopping_ && Clock::now() < due) co_await report_due_.wait_until(due);
    }
  }

  /// One for one, as Elixir's supervisor: an actor whose user code threw is restarted alone and at once, until that
  /// happens too often.
  boost::asio::awaitable<void> supervise(actor& supervised) {
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
      if (!stopping_) over_limit_ = true;
      stop(errc::restart_limit);
      stop_actors(errc::restart_limit);  // at once, before another one of them connects
      co_return;
    }
  }

  void stop_actors(error_code result) {
    if (std::exchange(stopping_, true)) return;
    result_ = result;
    for (const auto& a : actors_) a->stop();
    report_due_.notify();
    ended_.notify();
  }

  const group_settings settings_;
  channel_source<Clock, channel_type> source_;
  core::rotation<channel_type>& rotation_ = source_.rotation();
  const std::shared_ptr<context_gate> gate_;
  const std::shared_ptr<directory> names_;
  std::vector<std::unique_ptr<actor>> actors_;
  std::atomic<phase> phase_{phase::idle};
  std::atomic<bool> over_limit_{false};  // why it is stopped

  // Touched on the strand only.
  core::restart_budget<typename Clock::time_point> restarts_;
  condition<Clock> report_due_;
  condition<Clock> ended_;
  std::size_t living_ = 0;
  bool stopping_ = false;
  error_code result_;
};

}  // namespace conn_grpc::runtime
