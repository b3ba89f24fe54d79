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
constexpr auto patience = 2ms;

// A thread that has been inside of one call into gRPC for this long is stuck there. See
// call_into_grpc::is_stuck.
constexpr auto patience_with_calls = 50ms;

}  // namespace

void event_loop::begin_waiting() noexcept {
  auto* const here = turn_here::in_context_of(*this);
  {
    const std::lock_guard lock(mutex_);
    ++waiting_;
    // This thread waits inside of its turn, so the turn cannot flush them.
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
    else if (stand_in_watches_ && clock::now() >= next_look_)
      look(lock);  // also when there is always control work
    else if (!control_.empty())
      stand_in_for_control(lock);
    else if (stand_in_watches_)
      stand_in_wakes_.wait_until(lock, next_look_);
    else if (!callbacks_.empty() || !detail::call_into_grpc::report_next())
      watch();
    else
      stand_in_wakes_.wait(lock);
  }
}

void event_loop::stand_in_for_all(std::unique_lock<std::mutex>& lock) {
  const auto now = clock::now();
  const auto due = timers_.next();
  if (!has_tasks() && flushing_.empty() && behind_.empty() && !polls_behind_ && !(due && *due <= now)) {
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
  polls_behind_ = false;  // the end of this turn does that
  in_stand_in_turn(lock, [this](turn_here& here) {
    end_all_behind();
    call_due_timers(here);
    here.call_tasks();
  });
}

// Of all that uses the context: the socket that a stuck thread needs is not known.
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
  stand_in_wakes_.wait_for(lock, patience, [this] { return ended_ || stands_in_for_all(); });
  while (!ended_ && !stands_in_for_all() && control_taken_ == taken && !control_.empty()) call_next(lock, true);
  stand_in_sleeps_ = true;
}

void event_loop::call_begins() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (stand_in_watches_) return;
    watch();
  }
  stand_in_wakes_.notify_one();
}

void event_loop::watch() {
  stand_in_watches_ = true;
  next_look_ = clock::now() + patience_with_calls / 2;
  taken_at_look_ = callbacks_taken_;
}

// gRPC queues some of the work that a stuck thread needs as functions, for example the report
// of a lost connection. The loop cannot distinguish these from the user's callbacks. So it
// leaves them to the context's threads, until one of these is stuck in a call into gRPC.
void event_loop::look(std::unique_lock<std::mutex>& lock) {
  const auto taken = taken_at_look_;
  bool is_stuck = detail::call_into_grpc::is_stuck(patience_with_calls);  // asked in each look: it compares them
  watch();
  if (is_stuck) {
    try_all_again(lock);
  } else if (callbacks_.empty() && callbacks_taken_ == taken) {
    stand_in_watches_ = false;  // nothing happens, so it sleeps until something is queued, or a call begins
    return;
  }
  while (is_stuck && callbacks_taken_ == taken && !callbacks_.empty() && !ended_ && !stands_in_for_all()) {
    call_next(lock, false);
    is_stuck = detail::call_into_grpc::is_stuck(patience_with_calls);
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
