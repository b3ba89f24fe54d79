// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/channel_ptr.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace conn_grpc::detail {

/// The generated stubs of one connection, each made at its first use.
///
/// *Thread safety*: Any thread may call any function. They take no lock.
class stub_cache {
 public:
  stub_cache() = default;
  stub_cache(const stub_cache&) = delete;
  stub_cache& operator=(const stub_cache&) = delete;
  ~stub_cache() {
    for (const entry* at = first_.load(std::memory_order_relaxed); at != nullptr;) delete std::exchange(at, at->next);
  }

  template <class Service>
  typename Service::Stub& get(const channel_ptr& channel) const {
    const entry* first = first_.load(std::memory_order_acquire);
    if (auto* const found = find<Service>(first, nullptr)) return *found;
    auto made = std::make_unique<entry>(&key<Service>, Service::NewStub(channel), first);
    while (!first_.compare_exchange_weak(made->next, made.get(), std::memory_order_acq_rel)) {
      if (auto* const found = find<Service>(made->next, first)) return *found;  // another thread was first
      first = made->next;
    }
    return *static_cast<typename Service::Stub*>(made.release()->stub.get());
  }

 private:
  struct entry {
    const void* service;
    std::shared_ptr<void> stub;
    const entry* next;
  };

  /// Its address stands for the service.
  template <class Service>
  static constexpr char key = 0;

  /// Looks at the entries from `at` on, and before `end`.
  template <class Service>
  static typename Service::Stub* find(const entry* at, const entry* end) {
    for (; at != end; at = at->next)
      if (at->service == &key<Service>) return static_cast<typename Service::Stub*>(at->stub.get());
    return nullptr;
  }

  mutable std::atomic<const entry*> first_{nullptr};
};

/// The connection of a lease. The library derives from it.
struct lease_target {
  channel_ptr channel;
  stub_cache stubs;
};

}  // namespace conn_grpc::detail
