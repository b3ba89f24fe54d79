// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/telemetry.hpp>

#include "core/exception_text.hpp"
#include "core/option_checks.hpp"
#include "runtime/log_line.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace conn_grpc {
namespace {

constinit thread_local bool inside_a_handler = false;

bool is_made_by_users(event name) {
  return name == event::channel_get || name == event::pool_get_channel || name == event::call_ended;
}

void report(std::string_view id, event name, std::string_view thrown, spdlog::logger* log) {
  const auto line =
      fmt::format("conn_grpc: telemetry handler \"{}\" threw on {} and was detached: {}", id, to_string(name), thrown);
  runtime::log_line(log ? log : spdlog::default_logger().get(), spdlog::level::err, line);
}

}  // namespace

struct telemetry::attached {
  attached(std::string its_id, std::uint32_t its_events, handler its_handler)
      : id(std::move(its_id)), events(its_events), called(std::move(its_handler)) {}

  const std::string id;
  const std::uint32_t events;
  const handler called;
  std::atomic<bool> detached{false};  // an earlier emission may still have it in its list
};

std::string_view to_string(event name) noexcept {
  switch (name) {
    case event::channel_get:
      return "channel_get";
    case event::channel_connected:
      return "channel_connected";
    case event::channel_connection_failed:
      return "channel_connection_failed";
    case event::channel_disconnected:
      return "channel_disconnected";
    case event::pool_get_channel:
      return "pool_get_channel";
    case event::pool_status:
      return "pool_status";
    case event::call_ended:
      return "call_ended";
  }
  return "unknown";
}

const std::shared_ptr<telemetry>& telemetry::global() {
  // Never destroyed: a static object of the user's may own a pool, and may be destroyed
  // later than this would be.
  static const auto& instance = *new std::shared_ptr<telemetry>(std::make_shared<telemetry>());
  return instance;
}

bool telemetry::attach(std::string id, event name, handler called) {
  return attach_many(std::move(id), std::span(&name, 1), std::move(called));
}

bool telemetry::attach_many(std::string id, std::span<const event> names, handler called) {
  core::check(static_cast<bool>(called), "handler", "must not be empty");
  std::uint32_t events = 0;
  for (const event name : names) events |= bit(name);
  const auto added = std::make_shared<attached>(std::move(id), events, std::move(called));

  const std::lock_guard lock(mutex_);  // after `added`, so that objects of the user's are destroyed without the lock
  if (std::ranges::any_of(*list_, [&](const auto& a) { return a->id == added->id; })) return false;
  auto next = *list_;
  next.push_back(added);
  replace(std::move(next));
  return true;
}

bool telemetry::detach(std::string_view id) {
  return detach_first([id](const auto& a) { return a->id == id; });
}

void telemetry::emit(const telemetry_event& happened, spdlog::logger* log) noexcept {
  if (!wants(happened.name)) return;
  // A handler that makes a get, or a call, would be called for that, without end.
  if (inside_a_handler && is_made_by_users(happened.name)) return;
  const auto now = [this] {
    const std::lock_guard lock(mutex_);
    return list_;
  }();
  const bool nested = std::exchange(inside_a_handler, true);
  for (const auto& a : *now)
    if ((a->events & bit(happened.name)) != 0 && !a->detached) call(a, happened, log);
  inside_a_handler = nested;
}

void telemetry::call(const std::shared_ptr<attached>& one, const telemetry_event& happened,
                     spdlog::logger* log) noexcept {
  try {
    one->called(happened);
  } catch (...) {
    detach_first([&](const auto& a) { return a == one; });  // not by its id, which another handler may have by now
    report(one->id, happened.name, core::current_exception_text(), log);
  }
}

template <class Predicate>
bool telemetry::detach_first(Predicate is_meant) {
  std::shared_ptr<const attached_list> before;  // destroyed without the lock: a handler may hold objects of the user's
  const std::lock_guard lock(mutex_);
  auto next = *list_;
  const auto place = std::ranges::find_if(next, is_meant);
  if (place == next.end()) return false;
  const auto gone = *place;
  next.erase(place);
  before = replace(std::move(next));
  gone->detached = true;
  return true;
}

// Called with mutex_ held. Returns the previous list.
std::shared_ptr<const telemetry::attached_list> telemetry::replace(attached_list next) {
  std::uint32_t wanted = 0;
  for (const auto& a : next) wanted |= a->events;
  auto before = std::exchange(list_, std::make_shared<const attached_list>(std::move(next)));
  wanted_.store(wanted, std::memory_order_relaxed);
  return before;
}

}  // namespace conn_grpc
