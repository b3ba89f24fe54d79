// SPDX-License-Identifier: BSL-1.0
#include "grpc/callback_loop.hpp"

#include "grpc/completion_thread.hpp"

#include <conn_grpc/detail/config.hpp>

#include <mutex>
#include <utility>

namespace conn_grpc::detail {
namespace {

struct current_loop {
  std::mutex mutex;
  std::shared_ptr<callback_loop> loop;
};

current_loop& the_current_loop() {
  static auto* const current = new current_loop;  // threads of gRPC's may outlive static objects
  return *current;
}

}  // namespace

std::shared_ptr<callback_loop> callback_loop::current() {
  auto& current = the_current_loop();
  const std::lock_guard lock(current.mutex);
  return current.loop;
}

void callback_loop::set_current(std::shared_ptr<callback_loop> loop) {
  auto& current = the_current_loop();
  const std::lock_guard lock(current.mutex);
  current.loop.swap(loop);
}

void callback_loop::has_ended() { completion_thread::instance().loop_has_ended(); }

awaited_completions callback_loop::awaited() noexcept { return completion_thread::instance().awaited_without_thread(); }

void callback_loop::poll_completions() noexcept { completion_thread::instance().poll(); }

void callback_loop::call_has_begun() noexcept {
  if (const auto loop = current()) loop->call_begins();
}

bool callback_loop::after_callback(const std::shared_ptr<deferred_completion>& deferred) {
  auto* const here = turn::of_this_thread();
  if (here == nullptr) return false;
  here->defer(deferred);
  return true;
}

bool callback_loop::call_behind(std::function<void(bool is_last)> task) {
  auto* const here = turn::of_this_thread();
  return here != nullptr && here->call_behind(std::move(task));
}

callback_loop::waiting::waiting() {
  if (loop_) loop_->begin_waiting();
}

callback_loop::waiting::~waiting() {
  if (loop_) loop_->end_waiting();
}

callback_loop::turn::turn(const boost::asio::execution_context* context) noexcept
    : context_(context), outer_(std::exchange(innermost, this)) {}

callback_loop::turn::~turn() { innermost = outer_; }

}  // namespace conn_grpc::detail
