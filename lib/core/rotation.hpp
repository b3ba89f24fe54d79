// SPDX-License-Identifier: BSL-1.0
// The channels that can be handed out, in turn. Readers take the next one without a lock; writers publish an immutable
// snapshot for each change.
#pragma once

#include "core/grace_period.hpp"

#include <boost/system/result.hpp>
#include <conn_grpc/error.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

namespace conn_grpc::core {

/// @tparam T cheap to copy, and copying does not throw: a shared_ptr.
///
/// Every function is thread-safe. `next()` takes no lock and never waits; the others lock a mutex that `next()` does
/// not know of. What they remove is kept until `reclaim()` finds that no reader is left.
template <class T>
class rotation {
 public:
  rotation() { publish(make_snapshot()); }

  rotation(const rotation&) = delete;
  rotation& operator=(const rotation&) = delete;

  /// The member whose turn it is, or why there is none. Over any k x size() gets each member is returned k times, and a
  /// change of the members goes on with the next in line. A thread's first call allocates its mark.
  [[nodiscard]] boost::system::result<T> next() noexcept {
    return take_turn([](const member& m) { return m.value; });
  }

  /// The same, with the slot it has.
  [[nodiscard]] boost::system::result<std::pair<std::size_t, T>> next_with_slot() noexcept {
    return take_turn([](const member& m) { return std::pair(m.slot, m.value); });
  }

  /// not_started becomes not_connected.
  void open() {
    {
      const std::lock_guard lock(writers_);
      if (unavailable_ != errc::not_started) return;
      unavailable_ = errc::not_connected;
      publish(make_snapshot());
    }
    (void)reclaim();
  }

  /// Adds a member to its place, in the order of slots, each of which has one member at most. Ignored after `close()`.
  /// Throws std::bad_alloc without effect.
  void insert(std::size_t slot, T value) {
    {
      const std::lock_guard lock(writers_);
      if (unavailable_ == errc::stopped) return;
      members_.insert(place_of(slot), std::make_unique<const member>(slot, std::move(value)));
      std::unique_ptr<const snapshot> next;
      try {
        next = make_snapshot();
      } catch (...) {
        members_.erase(place_of(slot));
        throw;
      }
      publish(std::move(next));
    }
    (void)reclaim();
  }

  /// Removes the member of this slot, if there is one, and lets go of it unless a reader is just taking it.
  void erase(std::size_t slot) noexcept {
    {
      const std::lock_guard lock(writers_);
      const auto place = place_of(slot);
      if (place == members_.end() || (*place)->slot != slot) return;
      member_list removed;
      removed.push_back(std::move(*place));
      members_.erase(place);
      publish(make_snapshot(), std::move(removed));
    }
    (void)reclaim();
  }

  /// Removes all members, for good: from now on `next()` is errc::stopped.
  void close() noexcept {
    {
      const std::lock_guard lock(writers_);
      if (std::exchange(unavailable_, errc::stopped) == errc::stopped) return;
      auto removed = std::exchange(members_, {});
      publish(make_snapshot(), std::move(removed));
    }
    (void)reclaim();
  }

  /// Lets go of what was removed, but for what a reader is taking right now. Is nothing left?
  [[nodiscard]] bool reclaim() {
    std::vector<retired> left;  // destroyed without the lock: a channel takes its time to close
    const std::lock_guard lock(writers_);
    const auto elapsed = std::ranges::partition(retired_, [](retired& r) { return !r.readers.elapsed(); });
    left.assign(std::make_move_iterator(elapsed.begin()), std::make_move_iterator(elapsed.end()));
    retired_.erase(elapsed.begin(), elapsed.end());
    return retired_.empty();
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(writers_);
    return members_.size();
  }

 private:
  struct member {
    std::size_t slot;
    T value;
  };
  using member_list = std::vector<std::unique_ptr<const member>>;

  struct snapshot {
    errc unavailable;      // what a get is told when there are no members
    std::uint64_t offset;  // so that the turn after a change is the next in line
    std::vector<const member*> members;

    std::size_t turn(std::uint64_t ticket) const { return (ticket + offset) % members.size(); }
  };

  // No longer published, but a reader may still be looking at it.
  struct retired {
    grace_period readers;
    std::unique_ptr<const snapshot> unpublished;
    member_list removed;
  };

  template <class Copy>
  boost::system::result<std::invoke_result_t<Copy, const member&>> take_turn(Copy copy) noexcept {
    const read_section inside;
    const auto ticket = tickets_.fetch_add(1, std::memory_order_acq_rel);  // the turnstile of grace_period.hpp
    // What this must not miss was stored before the writer's own turn at the turnstile; acquire is for one stored
    // since.
    const snapshot& now = *current_.load(std::memory_order_acquire);
    if (now.members.empty()) return make_error_code(now.unavailable);
    return copy(*now.members[now.turn(ticket)]);
  }

  std::unique_ptr<const snapshot> make_snapshot() {
    auto next = std::make_unique<snapshot>(unavailable_, std::uint64_t{0});
    next->members.reserve(members_.size());
    for (const auto& m : members_) next->members.push_back(m.get());
    if (published_ && !published_->members.empty() && !members_.empty()) {
      const auto ticket = tickets_.load(std::memory_order_relaxed);
      const auto next_in_line = place_of(published_->members[published_->turn(ticket)]->slot);
      const auto first = static_cast<std::uint64_t>(next_in_line - members_.begin());
      next->offset = first + members_.size() - ticket % members_.size();
    }
    return next;
  }

  // Without memory to remember what to delete later there is no going on: terminates.
  void publish(std::unique_ptr<const snapshot> next, member_list removed = {}) noexcept {
    current_.store(next.get(), std::memory_order_release);
    tickets_.fetch_add(0, std::memory_order_acq_rel);  // the writer's turn at the turnstile
    retired_.push_back({{}, std::exchange(published_, std::move(next)), std::move(removed)});
  }

  auto place_of(std::size_t slot) {
    return std::ranges::lower_bound(members_, slot, {}, [](const auto& m) { return m->slot; });
  }

  // Each of these two is a cache line of its own: one is written by every get, the other hardly ever.
  alignas(64) std::atomic<std::uint64_t> tickets_{0};
  alignas(64) std::atomic<const snapshot*> current_{nullptr};

  alignas(64) mutable std::mutex writers_;
  errc unavailable_ = errc::not_started;
  member_list members_;  // in the order of slots
  std::unique_ptr<const snapshot> published_;
  std::vector<retired> retired_;
};

}  // namespace conn_grpc::core
