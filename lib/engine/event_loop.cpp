// SPDX-License-Identifier: BSL-1.0
#include "engine/event_loop.hpp"

#include "runtime/quiet_thread.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace conn_grpc::engine {

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

event_loop::event_loop(asio::io_context& context, clock::duration busy_poll)
    : context_(&context), timer_(context), busy_poll_(busy_poll) {}

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
  callbacks_ever_queued_.fetch_add(1, std::memory_order_relaxed);
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
  return stand_in_sleeps_ && (is_control || !stand_in_checks_ || stands_in_for_all());
}

std::optional<task> event_loop::take_control() {
  if (control_.empty()) return {};
  std::optional<task> taken(std::move(control_.front()));
  control_.pop_front();
  ++control_taken_;
  if (turns_overlap_ && !is_idle()) request_turn();
  return taken;
}

std::optional<task> event_loop::take_callback() {
  if (callbacks_.empty()) return {};
  std::optional<task> taken(std::move(callbacks_.front()));
  callbacks_.pop_front();
  ++callbacks_taken_;
  callback_count_.store(callbacks_.size(), std::memory_order_relaxed);
  if (turns_overlap_ && !is_idle()) request_turn();
  return taken;
}

// ---- Busy polling

// While a handler is ready, the context polls its sockets and does not sleep. If several
// threads ran the context, each post would wake up another one.
void event_loop::has_sent() noexcept {
  if (busy_poll_ == clock::duration::zero()) return;
  const auto until = clock::now() + busy_poll_;
  const std::lock_guard lock(mutex_);
  busy_poll_until_ = until;
  if (busy_poll_posted_ || context_ == nullptr || turns_overlap_) return;
  try {
    asio::post(*context_.load(), [self = shared_from_this()] { self->continue_busy_poll(); });
    busy_poll_posted_ = true;
  } catch (...) {  // no memory: the context sleeps
    return;
  }
}

// On a thread of the context, in a handler that does nothing else. So the context does not run
// out of work while this post is not counted.
void event_loop::continue_busy_poll() {
  const std::lock_guard lock(mutex_);
  notice_thread();
  busy_poll_posted_ = context_ != nullptr && !turns_overlap_ && clock::now() < busy_poll_until_;
  if (!busy_poll_posted_) return;
  auto& context = *context_.load();
  initiate_uncounted(context, [&](auto wrap) {
    asio::post(context, wrap([self = shared_from_this()] { self->continue_busy_poll(); }));
  });
}

// ---- The completion queue

void event_loop::share_completion_poll() const {
  if (auto* const here = turn_here::in_context_of(*this)) here->share_completion_poll();
}

bool event_loop::post_completion_poll() noexcept {
  const std::lock_guard lock(mutex_);
  if (stands_in_for_all()) return false;
  if (completion_poll_posted_) return true;
  try {
    asio::post(*context_.load(), [self = shared_from_this()] { self->run_completion_poll(); });
  } catch (...) {  // no memory
    return false;
  }
  completion_poll_posted_ = true;
  return true;
}

void event_loop::run_completion_poll() {
  {
    const std::lock_guard lock(mutex_);
    completion_poll_posted_ = false;
  }
  in_turn([] { poll_completions(); }, turn_kind::behind);
}

// ---- Timers

// On a thread of the context.
void event_loop::arm_timer() {
  auto* const context = context_.load();
  if (context == nullptr) return;
  const auto next = timers_.next();
  if (!next || (armed_for_ && *armed_for_ <= *next)) return;
  armed_for_ = next;
  timer_->expires_at(*next);  // NOLINT(bugprone-unchecked-optional-access): it exists as long as the context
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

void event_loop::notice_thread() {
  const auto thread = std::this_thread::get_id();
  if (first_thread_ == std::thread::id()) first_thread_ = thread;
  turns_overlap_ = turns_overlap_ || first_thread_ != thread || running_turns_ > 1;
}

bool event_loop::begin_turn(turn_kind its_kind) {
  const std::lock_guard lock(mutex_);
  ++running_turns_;
  notice_thread();
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

// ---- The end

void event_loop::detach() noexcept {
  std::vector<std::shared_ptr<user>> users;
  std::vector<std::shared_ptr<user>> beginning;
  std::vector<std::shared_ptr<user>> flushing;
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
  settled_.wait_for(lock, limit, [&] {
    return !has_tasks() && !completion_poll_posted_ && running_turns_ <= own_turns && stand_in_sleeps_;
  });
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
