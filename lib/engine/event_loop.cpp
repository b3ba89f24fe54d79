// SPDX-License-Identifier: BSL-1.0
#include "engine/event_loop.hpp"

#include "grpc/call_into_grpc.hpp"
#include "runtime/quiet_thread.hpp"

#include <boost/asio/post.hpp>

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace conn_grpc::engine {
namespace {

using namespace std::chrono_literals;

// Callbacks of one turn. Then the context's other handlers have their turn.
constexpr int most_tasks_of_turn = 128;

// A closure that has waited for this long is run by the stand-in thread.
constexpr auto patience = 2ms;

// A thread that has been inside of one call into gRPC for this long is stuck there.
constexpr auto patience_with_calls = 50ms;

}  // namespace

event_loop::registration::registration(std::shared_ptr<event_loop> loop, std::weak_ptr<user> entered)
    : loop_(std::move(loop)), user_(std::move(entered)) {
  {
    const std::lock_guard lock(loop_->mutex_);
    if (loop_->context_ != nullptr) {
      loop_->users_.push_back(*this);
      return;
    }
  }
  if (const auto late = user_.lock()) late->detached();
}

event_loop::registration::~registration() {
  const std::lock_guard lock(loop_->mutex_);
  if (is_linked()) loop_->users_.erase(loop_->users_.iterator_to(*this));
}

event_loop::event_loop(asio::io_context& context) : context_(&context), timer_(context) {}

event_loop::~event_loop() {
  if (stand_in_thread_.joinable()) stand_in_thread_.detach();
}

void event_loop::start() {
  registration_.emplace(*context(), weak_from_this());
  auto thread = runtime::quiet_thread([self = shared_from_this()] { self->stand_in(); });
  const std::lock_guard lock(mutex_);
  stand_in_thread_ = std::move(thread);
}

// ---- Queueing

void event_loop::call(std::function<void()> called) { run_control(task(task::function(std::move(called)))); }

void event_loop::run_control(task control) {
  std::unique_lock lock(mutex_);
  control_.push_back(std::move(control));
  request_turn();
  const bool notify = wakes_stand_in(true);
  lock.unlock();
  if (notify) stand_in_wakes_.notify_one();
}

void event_loop::run(task::function called) {
  std::unique_lock lock(mutex_);
  callbacks_.emplace_back(std::move(called));
  callback_count_.store(callbacks_.size(), std::memory_order_relaxed);
  request_turn();
  const bool notify = wakes_stand_in(false);
  lock.unlock();
  if (notify) stand_in_wakes_.notify_one();
}

timer_handle event_loop::run_after(clock::duration delay, task what) {
  const auto now = clock::now();
  const auto due = delay < clock::time_point::max() - now ? now + delay : clock::time_point::max();
  std::unique_lock lock(mutex_);
  const auto handle = timers_.add(due, std::move(what));
  if (armed_for_ && *armed_for_ <= due) return handle;
  if (turn_here::in_context_of(*this) == nullptr) request_turn();  // whose end arms the timer
  const bool notify = stand_in_sleeps_ && stands_in_for_all();
  lock.unlock();
  if (notify) stand_in_wakes_.notify_one();
  return handle;
}

void event_loop::call_later(std::chrono::milliseconds delay, std::function<void()> called) {
  run_after(delay, task(task::function(std::move(called))));
}

bool event_loop::cancel(timer_handle handle) {
  std::optional<task> cancelled;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    cancelled = timers_.cancel(handle);
  }
  return cancelled.has_value();
}

void event_loop::begin_in_context(std::shared_ptr<user> caller) {
  if (turn_here::in_context_of(*this) != nullptr) return caller->begin();
  std::unique_lock lock(mutex_);
  if (context_ == nullptr) return;
  if (context_.load()->get_executor().running_in_this_thread()) {
    lock.unlock();
    return caller->begin();
  }
  beginning_.push_back(std::move(caller));
  request_turn();
}

bool event_loop::will_flush(const std::shared_ptr<user>& caller) {
  auto* const here = turn_here::in_context_of(*this);
  return here != nullptr && context_ != nullptr && waiting_.load(std::memory_order_relaxed) == 0 &&
         here->will_flush(caller);
}

bool event_loop::is_worker() const {
  const std::lock_guard lock(mutex_);
  return std::this_thread::get_id() == stand_in_thread_.get_id() ||
         (context_ != nullptr && context_.load()->get_executor().running_in_this_thread());
}

bool event_loop::is_idle() const { return !has_tasks() && beginning_.empty() && flushing_.empty(); }

// A turn that is running will come to what has been queued. But another thread can do so at
// once, and the turn's handler may run the context itself.
void event_loop::request_turn() {
  if (context_ == nullptr || posted_turns_ > 0 || (running_turns_ > 0 && !turns_overlap_)) return;
  ++posted_turns_;
  asio::post(*context_.load(), [self = shared_from_this()] {
    {
      const std::lock_guard lock(self->mutex_);
      --self->posted_turns_;
    }
    turn_here here(*self, turn_kind::queued);
    here.call_tasks();
  });
}

bool event_loop::wakes_stand_in(bool is_control) const {
  return stand_in_sleeps_ && (is_control || !stand_in_watches_ || stands_in_for_all());
}

std::optional<task> event_loop::take(bool with_callbacks) {
  std::optional<task> taken;
  if (!control_.empty()) {
    taken.emplace(std::move(control_.front()));
    control_.pop_front();
    ++control_taken_;
  } else if (with_callbacks && !callbacks_.empty()) {
    taken.emplace(std::move(callbacks_.front()));
    callbacks_.pop_front();
    ++callbacks_taken_;
    callback_count_.store(callbacks_.size(), std::memory_order_relaxed);
  }
  if (taken && turns_overlap_ && !is_idle()) request_turn();
  return taken;
}

// ---- Timers

// On a thread of the context.
void event_loop::arm_timer() {
  auto* const context = context_.load();
  if (context == nullptr) return;
  const auto next = timers_.next();
  if (!next || (armed_for_ && *armed_for_ <= *next)) return;
  armed_for_ = next;
  timer_->expires_at(*next);
  initiate_uncounted(*context, [&](auto wrap) {
    timer_->async_wait(wrap([self = shared_from_this()](boost::system::error_code error) {
      if (error) return;
      {
        const std::lock_guard lock(self->mutex_);
        self->armed_for_.reset();
      }
      self->in_turn([&] {
        auto* const here = turn_here::in_context_of(*self);
        if (here != nullptr) self->call_due_timers(*here);
      });
    }));
  });
}

void event_loop::call_due_timers(turn_here& here) {
  const auto now = clock::now();
  here.has_called_timers();
  while (true) {
    std::optional<task> due;
    {
      const std::lock_guard lock(mutex_);
      if (here.is_over()) return;
      due = timers_.pop_due(now);
    }
    if (!due) return;
    here.call(*due, true);
  }
}

// ---- Turns

event_loop::turn_here::turn_here(event_loop& loop, turn_kind its_kind)
    : turn(its_kind == turn_kind::stand_in ? nullptr : loop.context()),
      loop_(loop),
      kind_(its_kind),
      puts_writes_off_(its_kind != turn_kind::stand_in && loop.begin_turn(its_kind)) {}

event_loop::turn_here::~turn_here() {
  finish();
  if (kind_ != turn_kind::stand_in) loop_.end_turn();
}

event_loop::turn_here* event_loop::turn_here::in_context_of(const event_loop& loop) noexcept {
  auto* const here = static_cast<turn_here*>(of_this_thread());  // there is no other kind
  return here != nullptr && here->is_of(loop) && here->kind_ != turn_kind::stand_in ? here : nullptr;
}

bool event_loop::begin_turn(turn_kind its_kind) {
  const auto thread = std::this_thread::get_id();
  const std::lock_guard lock(mutex_);
  ++running_turns_;
  if (first_thread_ == std::thread::id())
    first_thread_ = thread;
  else if (first_thread_ != thread || running_turns_ > 1)
    turns_overlap_ = true;
  return its_kind == turn_kind::event && gathering_.begin_turn();
}

void event_loop::call_next_behind() {
  std::function<void(bool)> next;
  {
    const std::lock_guard lock(mutex_);
    if (behind_.empty()) return;
    next = std::move(behind_.front());
    behind_.pop_front();
  }
  in_turn(
      [&next] {
        next(false);
        next = nullptr;
      },
      turn_kind::behind);
}

void event_loop::end_all_behind() {
  std::deque<std::function<void(bool)>> ending;
  {
    const std::lock_guard lock(mutex_);
    ending.swap(behind_);
  }
  for (const auto& each : ending) each(true);
}

void event_loop::end_turn() {
  std::unique_lock lock(mutex_);
  --running_turns_;
  if (!is_idle()) request_turn();
  arm_timer();
  const bool settled = context_ == nullptr;
  lock.unlock();
  if (settled) settled_.notify_all();
}

void event_loop::turn_here::call(task& called, bool is_control) {
  was_more_than_io_ = was_more_than_io_ || is_control;
  called();
  complete_deferred();
}

bool event_loop::turn_here::will_flush(const std::shared_ptr<user>& caller) {
  const bool calls_more =
      next_deferred_ < deferred_.size() || loop_.callback_count_.load(std::memory_order_relaxed) > 0;
  if (!puts_writes_off_ && !calls_more) return false;
  flushed_.push_back(caller);
  return true;
}

bool event_loop::turn_here::call_behind(std::function<void(bool)>&& task) {
  if (kind_ == turn_kind::stand_in) return false;
  const std::lock_guard lock(loop_.mutex_);
  if (loop_.stands_in_for_all()) return false;
  asio::post(*loop_.context_.load(), [self = loop_.shared_from_this()] { self->call_next_behind(); });
  loop_.behind_.push_back(std::move(task));
  return true;
}

void event_loop::turn_here::complete_deferred() {
  while (next_deferred_ < deferred_.size()) {
    const auto deferred = std::move(deferred_[next_deferred_++]);
    if (next_deferred_ == deferred_.size()) {
      deferred_.clear();
      next_deferred_ = 0;
    }
    allow_dispatch();
    deferred->complete_deferred();
  }
  forbid_dispatch();
}

void event_loop::turn_here::call_tasks() {
  for (int called = 0; called < most_tasks_of_turn; ++called) {
    std::vector<std::shared_ptr<user>> beginning;
    std::optional<task> next;
    bool is_control = false;
    {
      const std::lock_guard lock(loop_.mutex_);
      if (is_over()) return;
      if (kind_ != turn_kind::stand_in) beginning.swap(loop_.beginning_);
      is_control = !loop_.control_.empty();
      next = loop_.take(true);
    }
    for (const auto& each : beginning) each->begin();
    if (!next) return;
    call(*next, is_control);
  }
}

// Also when a handler has thrown.
void event_loop::turn_here::finish() {
  {
    const std::lock_guard lock(loop_.mutex_);
    if (kind_ == turn_kind::queued || (kind_ == turn_kind::stand_in && loop_.stands_in_for_all())) {
      loop_.gathering_.flush();
      std::ranges::move(std::exchange(loop_.flushing_, {}), std::back_inserter(flushed_));
    } else if (puts_writes_off_ && !flushed_.empty() && loop_.context_ != nullptr) {
      loop_.gathering_.put_off();
      std::ranges::move(std::exchange(flushed_, {}), std::back_inserter(loop_.flushing_));
    }
  }
  flush();
  turn_has_ended(was_more_than_io_);
  // What completes there may write, and end RPCs.
  flush();
  complete_elsewhere();
}

void event_loop::turn_here::flush() {
  for (std::size_t i = 0; i < flushed_.size(); ++i) std::exchange(flushed_[i], nullptr)->flush();
  flushed_.clear();
}

// Also what is left when a handler has thrown. Without permission to dispatch, the handlers
// are posted.
void event_loop::turn_here::complete_elsewhere() {
  forbid_dispatch();
  while (next_deferred_ < deferred_.size()) std::exchange(deferred_[next_deferred_++], nullptr)->complete_deferred();
}

// ---- The stand-in thread

void event_loop::begin_waiting() noexcept {
  auto* const here = turn_here::in_context_of(*this);
  {
    const std::lock_guard lock(mutex_);
    ++waiting_;
    // The turn of this thread does not come to its end meanwhile.
    if (here != nullptr && context_ != nullptr) std::ranges::move(here->take_flushed(), std::back_inserter(flushing_));
  }
  stand_in_wakes_.notify_one();
}

void event_loop::end_waiting() noexcept {
  const std::lock_guard lock(mutex_);
  --waiting_;
}

void event_loop::stand_in() {
  ::pthread_setname_np(::pthread_self(), "conn_grpc event");
  std::unique_lock lock(mutex_);
  while (!ended_) {
    if (stands_in_for_all())
      stand_in_for_all(lock);
    else if (!control_.empty())
      stand_in_for_control(lock);
    else if (!callbacks_.empty() || stand_in_watches_)
      watch_callbacks(lock);
    else
      stand_in_wakes_.wait(lock);
  }
}

void event_loop::stand_in_for_all(std::unique_lock<std::mutex>& lock) {
  const auto now = clock::now();
  const auto due = timers_.next();
  if (!has_tasks() && flushing_.empty() && behind_.empty() && !(due && *due <= now)) {
    settled_.notify_all();
    if (context_ != nullptr) {
      const auto soon = now + patience;
      if (stand_in_wakes_.wait_until(lock, due ? std::min(*due, soon) : soon) == std::cv_status::timeout)
        try_all_again(lock);
    } else if (due) {
      stand_in_wakes_.wait_until(lock, *due);
    } else {
      stand_in_wakes_.wait(lock);
    }
    return;
  }
  in_stand_in_turn(lock, [this](turn_here& here) {
    end_all_behind();
    call_due_timers(here);
    here.call_tasks();
  });
}

void event_loop::try_all_again(std::unique_lock<std::mutex>& lock) {
  std::vector<std::shared_ptr<user>> users;
  for (const auto& entry : users_)
    if (auto used = entry.user_.lock()) users.push_back(std::move(used));
  in_stand_in_turn(lock, [&](turn_here&) {
    for (const auto& each : users) each->try_again();
    users.clear();
  });
}

void event_loop::stand_in_for_control(std::unique_lock<std::mutex>& lock) {
  stand_in_sleeps_ = false;
  const auto taken = control_taken_;
  stand_in_wakes_.wait_for(lock, patience, [this] { return ended_ || stands_in_for_all(); });
  while (!ended_ && !stands_in_for_all() && control_taken_ == taken && !control_.empty()) call_next(lock, true);
  stand_in_sleeps_ = true;
}

// gRPC also hands over as functions what a stuck thread needs, for example the loss of a
// connection. Nothing tells them from callbacks of the user's. So they stay in the context
// as long as a thread of it may come to them.
void event_loop::watch_callbacks(std::unique_lock<std::mutex>& lock) {
  stand_in_watches_ = true;
  const auto taken = callbacks_taken_;
  const auto has_other_work = [this] { return ended_ || stands_in_for_all() || !control_.empty(); };
  if (stand_in_wakes_.wait_for(lock, patience_with_calls / 2, has_other_work)) return;
  if (callbacks_.empty()) {
    stand_in_watches_ = callbacks_taken_ != taken;  // else nothing happens, so it sleeps until something is queued
    return;
  }
  while (callbacks_taken_ == taken && !callbacks_.empty() && !has_other_work() &&
         detail::call_into_grpc::is_stuck(patience_with_calls))
    call_next(lock, false);
}

void event_loop::call_next(std::unique_lock<std::mutex>& lock, bool is_control) {
  auto next = take(!is_control);
  --(is_control ? control_taken_ : callbacks_taken_);  // this thread has taken it: the other one may still be stuck
  in_stand_in_turn(lock, [&](turn_here& here) {
    here.call(*next, is_control);
    next.reset();  // not with the mutex held: it may own what calls the engine when it is destroyed
  });
}

template <class Function>
void event_loop::in_stand_in_turn(std::unique_lock<std::mutex>& lock, Function called) {
  stand_in_sleeps_ = false;
  lock.unlock();
  {
    turn_here here(*this, turn_kind::stand_in);
    called(here);
  }
  lock.lock();
  stand_in_sleeps_ = true;
}

// ---- The end

void event_loop::detach() noexcept {
  std::vector<std::shared_ptr<user>> users, beginning, flushing;
  {
    const std::lock_guard lock(mutex_);
    if (context_ == nullptr) return;
    context_ = nullptr;
    timer_.reset();
    armed_for_.reset();
    for (const auto& entry : users_)
      if (auto using_it = entry.user_.lock()) users.push_back(std::move(using_it));
    users_.clear();
    beginning.swap(beginning_);
    flushing.swap(flushing_);
  }
  end_all_behind();
  if (when_detached_) std::exchange(when_detached_, nullptr)();
  for (const auto& each : users) each->detached();
  stand_in_wakes_.notify_one();
}

void event_loop::context_going() noexcept {
  const bool has_callbacks = when_detached_ != nullptr;
  detach();
  if (has_callbacks) hand_over();
}

void event_loop::settle(std::chrono::milliseconds limit) {
  const int own_turns = turn_here::in_context_of(*this) != nullptr ? 1 : 0;
  std::unique_lock lock(mutex_);
  settled_.wait_for(lock, limit, [&] { return !has_tasks() && running_turns_ <= own_turns && stand_in_sleeps_; });
}

void event_loop::end() noexcept {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  stand_in_wakes_.notify_one();
}

void event_loop::join() {
  std::thread joined;
  {
    const std::lock_guard lock(mutex_);
    if (stand_in_thread_.get_id() != std::this_thread::get_id()) joined.swap(stand_in_thread_);
  }
  if (joined.joinable()) joined.join();
}

}  // namespace conn_grpc::engine
