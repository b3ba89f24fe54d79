// SPDX-License-Identifier: BSL-1.0
// event_loop: a turn.
#include "engine/event_loop.hpp"

#include "grpc/call_into_grpc.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>

namespace conn_grpc::engine {
namespace {

// After so many tasks and handlers, a turn goes on only with what is queued then. The context's
// other handlers run after that.
constexpr int most_tasks_of_turn = 128;

}  // namespace

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
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): there is no other kind
  auto* const here = static_cast<turn_here*>(of_this_thread());
  return here != nullptr && here->is_of(loop) && here->kind_ != turn_kind::stand_in ? here : nullptr;
}

bool event_loop::turn_here::will_flush(const std::shared_ptr<user>& caller) {
  const bool calls_more =
      next_deferred_ < deferred_.size() || loop_.callback_count_.load(std::memory_order_relaxed) > 0;
  if (!puts_writes_off_ && !calls_more) return false;
  to_flush_.push_back(caller);
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

void event_loop::turn_here::call(task& called, bool is_control) {
  was_more_than_io_ = was_more_than_io_ || is_control;
  using may_call = detail::call_into_grpc::may_call;
  const detail::call_into_grpc inside(is_control ? may_call::only_grpc : may_call::user);
  called();
  may_have_written_ = true;
}

// A handler may begin an RPC. On a lost connection gRPC retries that, until the task has run
// that reports the loss. So the tasks that are queued come before each handler.
void event_loop::turn_here::call_tasks() {
  for (int called = 0; called < most_tasks_of_turn; ++called)
    if (!call_next_task() && !complete_next()) return;
  auto left = [this] {
    const std::lock_guard lock(loop_.mutex_);
    return loop_.count_tasks();
  }();
  while (left-- > 0 && call_next_task()) {
  }
  while (complete_next()) {
  }
}

bool event_loop::turn_here::call_next_task() {
  std::vector<std::shared_ptr<user>> beginning;
  std::optional<task> next;
  bool is_control = false;
  {
    const std::lock_guard lock(loop_.mutex_);
    if (is_over()) return false;
    if (kind_ != turn_kind::stand_in) beginning.swap(loop_.beginning_);
    next = loop_.take_control();
    is_control = next.has_value();
    if (!next) next = loop_.take_callback();
  }
  for (const auto& each : beginning) each->begin();
  if (next) call(*next, is_control);
  return next.has_value();
}

bool event_loop::turn_here::complete_next() {
  if (is_over() || next_deferred_ == deferred_.size()) return false;
  const auto deferred = std::move(deferred_[next_deferred_++]);
  if (next_deferred_ == deferred_.size()) {
    deferred_.clear();
    next_deferred_ = 0;
  }
  allow_dispatch();
  deferred->complete_deferred();
  may_have_written_ = true;
  forbid_dispatch();
  return true;
}

// Also when a handler has thrown.
void event_loop::turn_here::finish() {
  {
    const std::lock_guard lock(loop_.mutex_);
    if (kind_ == turn_kind::queued || (kind_ == turn_kind::stand_in && loop_.stands_in_for_all())) {
      loop_.gathering_.flush();
      std::ranges::move(std::exchange(loop_.flushing_, {}), std::back_inserter(to_flush_));
    } else if (puts_writes_off_ && loop_.context_ != nullptr) {
      // A turn that writes to connections whose writes are put off already has nothing to flush. It
      // counts, too: gRPC collects what it writes.
      if (!to_flush_.empty() || (may_have_written_ && !loop_.flushing_.empty())) loop_.gathering_.put_off();
      std::ranges::move(std::exchange(to_flush_, {}), std::back_inserter(loop_.flushing_));
    }
  }
  flush();
  poll_completions_after_turn();
  // The completions of that poll may have written, and may have ended RPCs.
  flush();
  complete_elsewhere();
}

void event_loop::turn_here::poll_completions_after_turn() {
  using detail::awaited_completions;
  const auto expected = awaited();
  if (expected == awaited_completions::none) return;
  if (!was_more_than_io_ && expected == awaited_completions::changes) return;
  if (!shares_completion_poll_ || !loop_.post_completion_poll()) poll_completions();
}

std::vector<std::shared_ptr<event_loop::user>> event_loop::turn_here::take_unflushed() {
  to_flush_.erase(to_flush_.begin(), to_flush_.begin() + static_cast<std::ptrdiff_t>(std::exchange(next_to_flush_, 0)));
  return std::exchange(to_flush_, {});
}

// A flush may add connections. If it waits for gRPC, the stand-in thread flushes the rest.
void event_loop::turn_here::flush() {
  while (next_to_flush_ < to_flush_.size()) std::exchange(to_flush_[next_to_flush_++], nullptr)->flush();
  to_flush_.clear();
  next_to_flush_ = 0;
}

// Also what is left when a handler has thrown. Without permission to dispatch, the handlers
// are posted.
void event_loop::turn_here::complete_elsewhere() {
  forbid_dispatch();
  while (next_deferred_ < deferred_.size()) std::exchange(deferred_[next_deferred_++], nullptr)->complete_deferred();
}

}  // namespace conn_grpc::engine
