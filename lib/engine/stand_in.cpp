// SPDX-License-Identifier: BSL-1.0
// event_loop: the thread that stands in for the context.
#include "engine/event_loop.hpp"

#include "grpc/call_into_grpc.hpp"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace conn_grpc::engine {
namespace {

using namespace std::chrono_literals;

// A closure that has waited for this long is run by the stand-in thread.
constexpr auto closure_limit = 2ms;

// A thread that has been inside of one call into gRPC for this long is stuck there. See
// call_into_grpc::is_stuck.
constexpr auto call_limit = 50ms;

}  // namespace

void event_loop::begin_waiting() noexcept {
  auto* const here = turn_here::in_context_of(*this);
  {
    const std::lock_guard lock(mutex_);
    ++waiting_;
    // This thread waits inside of its turn, so the turn cannot flush them.
    if (here != nullptr && context_ != nullptr)
      std::ranges::move(here->take_unflushed(), std::back_inserter(flushing_));
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
    else if (stand_in_checks_ && clock::now() >= next_check_)
      check_for_stuck_threads(lock);  // also when there is always control work
    else if (!control_.empty())
      stand_in_for_control(lock);
    else if (stand_in_checks_)
      stand_in_wakes_.wait_until(lock, next_check_);
    else if (!callbacks_.empty() || !detail::call_into_grpc::report_next())
      watch_for_stuck_threads();
    else
      stand_in_wakes_.wait(lock);
  }
}

void event_loop::stand_in_for_all(std::unique_lock<std::mutex>& lock) {
  const auto now = clock::now();
  const auto due = timers_.next();
  if (!has_tasks() && flushing_.empty() && behind_.empty() && !completion_poll_posted_ && !(due && *due <= now)) {
    settled_.notify_all();
    if (context_ != nullptr) {
      const auto soon = now + closure_limit;
      if (stand_in_wakes_.wait_until(lock, due ? std::min(*due, soon) : soon) == std::cv_status::timeout)
        try_all_again(lock);
    } else if (due) {
      stand_in_wakes_.wait_until(lock, *due);
    } else {
      stand_in_wakes_.wait(lock);
    }
    return;
  }
  completion_poll_posted_ = false;  // this turn polls at its end
  in_stand_in_turn(lock, [this](turn_here& here) {
    end_all_behind();
    call_due_timers(here);
    here.call_tasks();
  });
}

// Reads and writes every socket: the loop does not know which one the stuck thread needs. Calls
// the timers, too.
void event_loop::try_all_again(std::unique_lock<std::mutex>& lock) {
  std::vector<std::shared_ptr<user>> users;
  for (const auto& entry : users_)
    if (auto used = entry.user_.lock()) users.push_back(std::move(used));
  in_stand_in_turn(lock, [&](turn_here& here) {
    for (const auto& each : users) each->try_again();
    users.clear();
    call_due_timers(here);
  });
}

void event_loop::stand_in_for_control(std::unique_lock<std::mutex>& lock) {
  stand_in_sleeps_ = false;
  const auto taken = control_taken_;
  stand_in_wakes_.wait_for(lock, closure_limit, [this] { return ended_ || stands_in_for_all(); });
  while (!ended_ && !stands_in_for_all() && control_taken_ == taken && !control_.empty()) call_next(lock, true);
  stand_in_sleeps_ = true;
}

void event_loop::call_begins() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (stand_in_checks_) return;
    watch_for_stuck_threads();
  }
  stand_in_wakes_.notify_one();
}

void event_loop::watch_for_stuck_threads() {
  stand_in_checks_ = true;
  next_check_ = clock::now() + call_limit / 2;
  taken_at_check_ = callbacks_taken_;
}

// gRPC queues some of the work that a stuck thread needs as functions, for example the report
// of a lost connection. The loop cannot distinguish these from the user's callbacks. So it
// leaves them to the context's threads, until such a thread is stuck in a call into gRPC.
void event_loop::check_for_stuck_threads(std::unique_lock<std::mutex>& lock) {
  const auto taken = taken_at_check_;
  bool is_stuck = detail::call_into_grpc::is_stuck(call_limit);  // in each check: it compares with the last one
  watch_for_stuck_threads();
  if (is_stuck) {
    try_all_again(lock);
  } else if (callbacks_.empty() && callbacks_taken_ == taken) {
    stand_in_checks_ = false;  // nothing happens, so it sleeps until something is queued, or a call begins
    return;
  }
  while (is_stuck && callbacks_taken_ == taken && !callbacks_.empty() && !ended_ && !stands_in_for_all()) {
    call_next(lock, false);
    is_stuck = detail::call_into_grpc::is_stuck(call_limit);
  }
}

void event_loop::call_next(std::unique_lock<std::mutex>& lock, bool is_control) {
  auto next = is_control ? take_control() : take_callback();
  --(is_control ? control_taken_ : callbacks_taken_);  // this thread has taken it: the other one may still be stuck
  in_stand_in_turn(lock, [&](turn_here& here) {
    here.call(*next, is_control);
    next.reset();  // without the mutex, because its destructor may call the engine
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

}  // namespace conn_grpc::engine
