// SPDX-License-Identifier: BSL-1.0
#include "runtime/name_registry.hpp"

#include "runtime/context_service.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

namespace conn_grpc::runtime {
namespace {

// The version of all registries of the process. A thread that knows of a change, by
// whatever means, reads a later version than before.
constinit std::atomic<std::uint64_t> version{1};

struct place {
  const boost::asio::execution_context* context;
  std::string_view name;
  bool operator==(const place&) const = default;
};

struct owned_place {
  const boost::asio::execution_context* context;
  std::string name;
  operator place() const { return {.context = context, .name = name}; }  // implicit, for look-ups
};

struct hash {
  using is_transparent = void;
  std::size_t operator()(const place& p) const {
    return std::hash<std::string_view>()(p.name) ^ std::hash<const void*>()(p.context);
  }
};

struct same {
  using is_transparent = void;
  bool operator()(const place& a, const place& b) const { return a == b; }
};

// True once the memory below is destroyed. Later look-ups, in destructors of static or
// thread_local objects, remember nothing.
constinit thread_local bool memory_is_gone = false;

using owners = std::unordered_map<owned_place, std::weak_ptr<void>, hash, same>;

// A few of the owners that this thread has found since `version`. Most programs have no
// more names, and to compare these is faster than to compute a hash. This struct is apart
// from `memory` because it needs no constructor, so no access has to check whether that
// has run.
struct recent {
  std::uint64_t version = 0;
  std::array<const owners::value_type*, 4> found{};
  std::size_t replaced_next = 0;
};
[[gnu::tls_model("initial-exec")]] constinit thread_local recent few;  // initial-exec: see grace_period.hpp

// All owners that this thread has found since `version`. There are no more of them than
// living names.
struct memory {
  memory() = default;
  memory(const memory&) = delete;
  memory& operator=(const memory&) = delete;
  ~memory() {
    memory_is_gone = true;
    few = {};
  }

  std::uint64_t version = 0;
  owners found;
};
thread_local memory remembered;

}  // namespace

std::shared_ptr<name_registry> name_registry::of(boost::asio::execution_context& context) {
  return context_service<name_registry>::of(context);
}

std::shared_ptr<void> name_registry::find(boost::asio::execution_context& context, std::string_view name) {
  const auto now = version.load(std::memory_order_acquire);
  const place wanted{.context = &context, .name = name};
  if (few.version == now) [[likely]] {
    const auto hit = std::ranges::find_if(few.found, [&](const auto* at) { return at && at->first == wanted; });
    if (hit != few.found.end()) [[likely]]
      if (auto owner = (*hit)->second.lock()) return owner;
  }

  if (memory_is_gone) return of(context)->find(name);
  memory& mine = remembered;
  if (mine.version != now) {
    mine.found.clear();
    mine.version = now;
  }
  auto at = mine.found.find(wanted);
  auto owner = at == mine.found.end() ? nullptr : at->second.lock();
  if (!owner) {
    owner = of(context)->find(name);
    if (!owner) return nullptr;
    at = mine.found.insert_or_assign({.context = &context, .name = std::string(name)}, owner).first;
  }
  if (few.version != now) few = {.version = now};
  few.found[few.replaced_next++ % few.found.size()] = &*at;
  return owner;
}

void name_registry::context_shutdown() noexcept {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  version.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<void> name_registry::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto place = entries_.find(name);
  return place == entries_.end() ? nullptr : place->second.alive.lock();
}

bool name_registry::claim(std::string_view name, const std::shared_ptr<void>& owner) {
  const std::lock_guard lock(mutex_);
  auto& place = entries_[std::string(name)];
  if (!place.alive.expired()) return false;
  place = {.owner = owner.get(), .alive = owner};
  version.fetch_add(1, std::memory_order_release);
  return true;
}

void name_registry::release(const void* owner) noexcept {
  const std::lock_guard lock(mutex_);
  if (std::erase_if(entries_, [=](const auto& e) { return e.second.owner == owner; }) > 0)
    version.fetch_add(1, std::memory_order_release);
}

}  // namespace conn_grpc::runtime
