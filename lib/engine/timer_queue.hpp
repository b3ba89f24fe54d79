// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace conn_grpc::engine {

/// Names one timer. A handle of a timer that has expired or was cancelled names none.
struct timer_handle {
  std::uint64_t slot = 0;
  std::uint64_t generation = 0;  // 0: never a timer
};

/// Tasks and the times at which they are due.
///
/// A timer is added in O(log n). gRPC cancels nearly every timer, so that costs O(1): the
/// entry in the heap stays behind, and stale entries are removed together, once they are
/// more than the others.
///
/// *Thread safety*: none.
template <class Task, class Time>
class timer_queue {
 public:
  timer_handle add(Time due, Task task) {
    if (free_.empty()) {
      places_.emplace_back();
      free_.push_back(places_.size() - 1);
    }
    const auto index = free_.back();
    auto& found = places_[index];
    heap_.push_back({due, index, found.generation});
    std::ranges::push_heap(heap_, later);
    free_.pop_back();
    found.task.emplace(std::move(task));
    return {index, found.generation};
  }

  /// Returns the task, which is not due any more. Empty when the timer has expired or was
  /// cancelled before.
  std::optional<Task> cancel(timer_handle handle) {
    if (handle.generation == 0 || handle.slot >= places_.size()) return {};
    auto& found = places_[handle.slot];
    if (found.generation != handle.generation || !found.task) return {};
    auto task = take(handle.slot);
    ++stale_;
    if (stale_ > fewest_to_compact && stale_ > heap_.size() / 2) compact();
    return task;
  }

  /// Returns a task that is due. Empty when there is none.
  std::optional<Task> pop_due(Time now) {
    const auto due = next();
    if (!due || now < *due) return {};
    const auto index = heap_.front().slot;
    pop();
    return take(index);
  }

  /// When the first of the timers is due.
  std::optional<Time> next() {
    while (!heap_.empty() && is_stale(heap_.front())) {
      pop();
      --stale_;
    }
    return heap_.empty() ? std::nullopt : std::optional(heap_.front().due);
  }

  [[nodiscard]] std::size_t size() const noexcept { return heap_.size() - stale_; }
  /// The entries of the heap, with the stale ones.
  [[nodiscard]] std::size_t entries() const noexcept { return heap_.size(); }

 private:
  static constexpr std::size_t fewest_to_compact = 64;

  struct place {
    std::uint64_t generation = 1;
    std::optional<Task> task;
  };
  struct entry {
    Time due;
    std::uint64_t slot;
    std::uint64_t generation;
  };
  static bool later(const entry& a, const entry& b) { return b.due < a.due; }

  [[nodiscard]] bool is_stale(const entry& e) const { return places_[e.slot].generation != e.generation; }

  std::optional<Task> take(std::uint64_t index) {
    auto& found = places_[index];
    std::optional<Task> task = std::move(found.task);
    found.task.reset();
    ++found.generation;
    free_.push_back(index);
    return task;
  }

  void pop() {
    std::ranges::pop_heap(heap_, later);
    heap_.pop_back();
  }

  void compact() {
    std::erase_if(heap_, [this](const entry& e) { return is_stale(e); });
    std::ranges::make_heap(heap_, later);
    stale_ = 0;
  }

  std::deque<place> places_;
  std::vector<std::uint64_t> free_;
  std::vector<entry> heap_;
  std::size_t stale_ = 0;
};

}  // namespace conn_grpc::engine
