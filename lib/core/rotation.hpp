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
#include <list>
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
  rotation() : published_(std::make_unique<snapshot>(unavailable_, 0)) {
    current_.store(published_.get(), std::memory_order_release);
  }

  rotation(const rotation&) = delete;
  rotation& operator=(const rotation&) = delete;

  /// The member whose turn it is, or why there is none. Over any k x size() gets each member is returned k times, and a
  /// change of the members goes on with the next in line. A thread's first call allocates its mark.
  [[nodiscard]] boost::system::result<T> next() noexcept {
    return take_turn([](const snapshot& now, std::size_t turn) { return now.values[turn]; });
  }

  /// The same, with the slot it has.
  [[nodiscard]] boost::system::result<std::pair<std::size_t, T>> next_with_slot() noexcept {
    return take_turn(
        [](const snapshot& now, std::size_t turn) { return std::pair(now.slots[turn], now.values[turn]); });
  }

  /// not_started becomes not_connected. Throws std::bad_alloc without effect.
  void open() {
    {
      const std::lock_guard lock(writers_);
      if (unavailable_ != errc::not_started) return;
      publish(std::make_unique<snapshot>(errc::not_connected, 0));
      unavailable_ = errc::not_connected;
    }
    (void)reclaim();
  }

  /// Adds a member to its place, in the order of slots, each of which has one member at most. Ignored after `close()`.
  /// Throws std::bad_alloc without effect.
  void insert(std::size_t slot, T value) {
    {
      const std::lock_guard lock(writers_);
      if (unavailable_ == errc::stopped) return;
      const auto& old = *published_;
      const auto place = old.place_of(slot);
      auto next = std::make_unique<snapshot>(unavailable_, old.size() + 1);
      next->append(old, 0, place);
      next->append(slot, std::move(value));
      next->append(old, place, old.size());
      publish(std::move(next));
    }
    (void)reclaim();
  }

  /// Removes the member of this slot, if there is one, and releases it unless a reader is just taking it.
  void erase(std::size_t slot) noexcept {
    erase_if(slot, [](const T&) noexcept { return true; });
  }

  /// The same for a member of which `is_meant` is true. `is_meant` is called under the writers' mutex.
  template <class Predicate>
  void erase_if(std::size_t slot, Predicate is_meant) noexcept {
    {
      const std::lock_guard lock(writers_);
      const auto& old = *published_;
      const auto place = old.place_of(slot);
      if (place == old.size() || old.slots[place] != slot || !is_meant(old.values[place])) return;
      auto next = std::make_unique<snapshot>(unavailable_, old.size() - 1);
      next->append(old, 0, place);
      next->append(old, place + 1, old.size());
      publish(std::move(next));
    }
    (void)reclaim();
  }

  /// Removes all members, for good: from now on `next()` is errc::stopped.
  void close() noexcept {
    {
      const std::lock_guard lock(writers_);
      if (std::exchange(unavailable_, errc::stopped) == errc::stopped) return;
      publish(std::make_unique<snapshot>(unavailable_, 0));
    }
    (void)reclaim();
  }

  /// Releases what was removed, but for what a reader is taking at this moment.
  /// @return true when nothing is left.
  [[nodiscard]] bool reclaim() noexcept {
    retired_list left;  // destroyed without the lock: a channel takes its time to close
    const std::lock_guard lock(writers_);
    for (auto at = retired_.begin(); at != retired_.end();) {
      const auto next = std::next(at);
      if (at->readers.elapsed()) left.splice(left.end(), retired_, at);
      at = next;
    }
    return retired_.empty();
  }

  /// The error of a get while there are no members.
  [[nodiscard]] error_code unavailable() const {
    const std::lock_guard lock(writers_);
    return unavailable_;
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(writers_);
    return published_->size();
  }

 private:
  // The members themselves, not pointers to them: one cache miss less per get, and a pool of thousands costs what a
  // pool of one does. What that takes from the writers is in docs/design/published-snapshot.md.
  struct snapshot {
    snapshot(errc why_none, std::size_t size) : unavailable(why_none) {
      values.reserve(size);
      slots.reserve(size);
    }

    std::size_t size() const { return values.size(); }
    std::size_t turn(std::uint64_t ticket) const { return (ticket + offset) % values.size(); }
    std::size_t place_of(std::size_t slot) const {
      return static_cast<std::size_t>(std::ranges::lower_bound(slots, slot) - slots.begin());
    }

    void append(std::size_t slot, T value) {
      slots.push_back(slot);
      values.push_back(std::move(value));
    }
    void append(const snapshot& old, std::size_t first, std::size_t last) {
      for (; first != last; ++first) append(old.slots[first], old.values[first]);
    }

    errc unavailable;          // the error of a get when there are no members
    std::uint64_t offset = 0;  // so that the turn after a change is the next in line
    std::vector<T> values;
    std::vector<std::size_t> slots;  // of the values, ascending
  };

  // No longer published, but a reader may still be looking at it.
  struct retired {
    grace_period readers;
    std::unique_ptr<const snapshot> unpublished;
  };
  using retired_list = std::list<retired>;

  template <class Copy>
  boost::system::result<std::invoke_result_t<Copy, const snapshot&, std::size_t>> take_turn(Copy copy) noexcept {
    const read_section inside;
    const auto ticket = tickets_.fetch_add(1, std::memory_order_acq_rel);  // the turnstile of grace_period.hpp
    // What this must not miss was stored before the writer's own turn at the turnstile; acquire is for one stored
    // since.
    const snapshot& now = *current_.load(std::memory_order_acquire);
    if (now.values.empty()) return make_error_code(now.unavailable);
    return copy(now, now.turn(ticket));
  }

  // Throws std::bad_alloc without effect.
  void publish(std::unique_ptr<snapshot> next) {
    retired_list fresh(1);
    if (published_->size() > 0 && next->size() > 0) {
      const auto ticket = tickets_.load(std::memory_order_relaxed);
      const auto next_in_line = next->place_of(published_->slots[published_->turn(ticket)]);
      next->offset = next_in_line + next->size() - ticket % next->size();
    }
    current_.store(next.get(), std::memory_order_release);
    tickets_.fetch_add(0, std::memory_order_acq_rel);  // the writer's turn at the turnstile
    fresh.front().readers.begin();
    fresh.front().unpublished = std::exchange(published_, std::move(next));
    retired_.splice(retired_.end(), fresh);
  }

  // Each of these two is a cache line of its own: one is written by every get, the other hardly ever.
  alignas(64) std::atomic<std::uint64_t> tickets_{0};
  alignas(64) std::atomic<const snapshot*> current_{nullptr};

  alignas(64) mutable std::mutex writers_;
  errc unavailable_ = errc::not_started;
  std::unique_ptr<const snapshot> published_;
  retired_list retired_;
};

}  // namespace conn_grpc::core
