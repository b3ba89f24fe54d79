// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/grace_period.hpp"

#include <atomic>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace conn_grpc::core {

/// A value that many threads read without a lock, and that writers replace as a whole
/// (read-copy-update).
///
/// *Thread safety*: every function. `read()` takes no lock and never waits. The other
/// functions lock a mutex that `read()` does not use. A replaced value is kept until
/// `reclaim()` finds that no reader uses it any more.
///
/// The argument for the memory orders is in grace_period.hpp.
template <class T>
class published {
 public:
  explicit published(std::unique_ptr<const T> first) : value_(std::move(first)) {
    current_.store(value_.get(), std::memory_order_release);
  }
  published(const published&) = delete;
  published& operator=(const published&) = delete;
  ~published() = default;

  /// Returns `use(value, number)`. The reads of all threads are numbered in one sequence,
  /// from 0 on. A thread's first call allocates its mark.
  template <class Use>
  auto read(Use use) noexcept {
    const read_section inside;
    const auto number = reads_.fetch_add(1, std::memory_order_acq_rel);  // the turnstile of grace_period.hpp
    // This read sees every value whose writer had its turn at the turnstile before.
    // Acquire is for a value that was stored since.
    const T& now = *current_.load(std::memory_order_acquire);
    return use(now, number);
  }

  /// The number of the next read.
  [[nodiscard]] std::uint64_t reads() const noexcept { return reads_.load(std::memory_order_relaxed); }

  /// Replaces the value by what `make(value)` returns, a std::unique_ptr<T>, unless that
  /// is null. There is one writer at a time. Throws what `make` throws, or
  /// std::bad_alloc, without effect.
  template <class Make>
  void replace(Make make) {
    {
      const std::lock_guard lock(writers_);
      std::unique_ptr<const T> next = make(*value_);
      if (!next) return;
      retired_list fresh(1);
      current_.store(next.get(), std::memory_order_release);
      // The writer's turn at the turnstile. The zero is volatile, because clang makes of a
      // constant zero a mere compiler barrier on x86. Then the marks could be read before
      // the new value is stored.
      const volatile std::uint64_t zero = 0;
      reads_.fetch_add(zero, std::memory_order_acq_rel);
      fresh.front().readers.begin();
      fresh.front().value = std::exchange(value_, std::move(next));
      retired_.splice(retired_.end(), fresh);
    }
    (void)reclaim();
  }

  /// Returns `use(value)`. This is not a read, and has no number.
  template <class Use>
  auto inspect(Use use) const {
    const std::lock_guard lock(writers_);
    return use(*value_);
  }

  /// Destroys the replaced values, except for those that a reader is using at this
  /// moment.
  /// @return true when none is left.
  [[nodiscard]] bool reclaim() noexcept {
    retired_list unused;  // destroyed without the lock: the destructor of a channel takes long
    const std::lock_guard lock(writers_);
    for (auto at = retired_.begin(); at != retired_.end();) {
      const auto next = std::next(at);
      if (at->readers.elapsed()) unused.splice(unused.end(), retired_, at);
      at = next;
    }
    return retired_.empty();
  }

 private:
  // A replaced value that a reader may still use.
  struct retired {
    grace_period readers;
    std::unique_ptr<const T> value;
  };
  using retired_list = std::list<retired>;

  // Each of these two has a cache line of its own. Every read writes the first, only
  // writers write the second.
  alignas(64) std::atomic<std::uint64_t> reads_{0};
  alignas(64) std::atomic<const T*> current_{nullptr};

  alignas(64) mutable std::mutex writers_;
  std::unique_ptr<const T> value_;
  retired_list retired_;
};

}  // namespace conn_grpc::core
