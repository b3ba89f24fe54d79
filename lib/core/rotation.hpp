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
#include <utility>
#include <vector>

namespace conn_grpc::core {

/// @tparam T cheap to copy, and copying does not throw: a shared_ptr.
///
/// Every function is thread-safe. `next()` takes no lock and never waits; the others lock a mutex that `next()` does
/// not know of. They change the set of members in the order in which they were called.
template <class T>
class rotation {
 public:
  rotation() { publish({}); }

  rotation(const rotation&) = delete;
  rotation& operator=(const rotation&) = delete;

  /// The member whose turn it is, or why there is none. Over any k x size() gets each member is returned k times, and a
  /// change of the members goes on with the next in line.
  [[nodiscard]] boost::system::result<T> next() noexcept {
    const read_section inside;
    const auto ticket = tickets_.fetch_add(1, std::memory_order_acq_rel);  // the turnstile of grace_period.hpp
    // Relaxed will do: what this must not miss was stored before the writer's own turn at the turnstile. Acquire is
    // for a snapshot stored since.
    const snapshot& now = *current_.load(std::memory_order_acquire);
    if (now.members.empty()) return make_error_code(now.unavailable);
    return now.members[now.turn(ticket)]->value;
  }

  /// not_started becomes not_connected.
  void open() {
    change([this](auto&) {
      if (unavailable_ != errc::not_started) return false;
      unavailable_ = errc::not_connected;
      return true;
    });
  }

  /// Adds a member to its place, in the order of slots, each of which has one member at most. Ignored after `close()`.
  void insert(std::size_t slot, T value) {
    change([&](auto&) {
      if (unavailable_ == errc::stopped) return false;
      members_.insert(place_of(slot), std::make_unique<const member>(slot, std::move(value)));
      return true;
    });
  }

  /// Removes the member of this slot, if there is one.
  void erase(std::size_t slot) {
    change([&](auto& removed) {
      const auto place = place_of(slot);
      if (place == members_.end() || (*place)->slot != slot) return false;
      removed.push_back(std::move(*place));
      members_.erase(place);
      return true;
    });
  }

  /// Removes all members, for good: from now on `next()` is errc::stopped.
  void close() {
    change([this](auto& removed) {
      removed = std::exchange(members_, {});
      return std::exchange(unavailable_, errc::stopped) != errc::stopped;
    });
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
    errc unavailable;            // what a get is told when there are no members
    std::size_t first;           // the member that …
    std::uint64_t first_ticket;  // … this ticket gets
    std::vector<const member*> members;

    std::size_t turn(std::uint64_t ticket) const { return (first + (ticket - first_ticket)) % members.size(); }
  };

  // No longer published, but a reader may still be looking at it.
  struct retired {
    grace_period readers;
    std::unique_ptr<const snapshot> unpublished;
    member_list removed;
  };

  // Deleting what readers have left happens without the lock: a channel takes its time to close.
  template <class Edit>
  void change(Edit edit) {
    std::vector<retired> left;
    const std::lock_guard lock(writers_);
    member_list removed;
    if (edit(removed)) left = publish(std::move(removed));
  }

  std::vector<retired> publish(member_list removed) {
    auto next = std::make_unique<snapshot>(unavailable_, std::size_t{0}, std::uint64_t{0});
    next->members.reserve(members_.size());
    for (const auto& m : members_) next->members.push_back(m.get());
    if (published_ && !published_->members.empty()) {
      next->first_ticket = tickets_.load(std::memory_order_relaxed);
      const std::size_t slot = published_->members[published_->turn(next->first_ticket)]->slot;
      next->first = static_cast<std::size_t>(place_of(slot) - members_.begin());
    }
    current_.store(next.get(), std::memory_order_release);
    tickets_.fetch_add(0, std::memory_order_acq_rel);  // the writer's turn at the turnstile
    retired_.push_back({{}, std::exchange(published_, std::move(next)), std::move(removed)});

    const auto elapsed = std::ranges::partition(retired_, [](retired& r) { return !r.readers.elapsed(); });
    std::vector<retired> left(std::make_move_iterator(elapsed.begin()), std::make_move_iterator(elapsed.end()));
    retired_.erase(elapsed.begin(), elapsed.end());
    return left;
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
