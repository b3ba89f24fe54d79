// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/elastic_size.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/strand.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <new>
#include <utility>

namespace conn_grpc::runtime {

/// Lets the number of channels follow the number of leases. On the strand.
template <class Clock>
class load_sizing {
 public:
  /// @param resize is given the number of channels to each address. May throw
  /// std::bad_alloc.
  load_sizing(const checked_pool_options& options, channel_picker<Clock>& picker,
              std::function<void(std::size_t)> resize)
      : options_(options),
        picker_(picker),
        resize_(std::move(resize)),
        size_(options.pool_size, options.largest_size(), Clock::now()) {}

  strand_awaitable<> run() {
    while (!stopping_) {
      update();
      co_await due_.wait_until(size_.next_check());
    }
  }

  /// A lease was refused, or waits, because each channel is full. Thread-safe.
  /// @return true when `look_again` is to be called on the strand. At the largest size it
  /// would change nothing.
  [[nodiscard]] bool refused() noexcept {
    is_refused_ = true;
    return may_grow_;
  }

  void look_again() { due_.notify(); }

  /// The user has set the number of channels.
  void set(std::size_t size) {
    size_.set(size, Clock::now());
    due_.notify();
  }

  void stop() {
    stopping_ = true;
    due_.notify();
  }

 private:
  void update() {
    may_grow_ = true;  // before the load is read: a lease that is refused from now on asks again
    const bool was_refused = is_refused_.exchange(false);
    // Addresses that are down take no leases.
    const auto capacity = options_.max_in_flight * (std::max)(picker_.leases().served_addresses(), std::size_t{1});
    const auto before = size_.size();
    const auto leases = picker_.leases().take_peak();
    const auto peak = was_refused ? (std::max)(leases, before * capacity) : leases;
    const std::size_t refused = was_refused ? 1 : 0;
    const auto demand = picker_.leases().in_flight() + (std::max)(picker_.leases().waiting(), refused);
    if (const auto now = size_.update(Clock::now(), demand, capacity, peak); now != before) {
      try {
        resize_(now);
      } catch (const std::bad_alloc&) {  // the next lease that waits asks again
        size_.set(before, Clock::now());
      }
    }
    may_grow_ = size_.size() < options_.largest_size();
  }

  const checked_pool_options& options_;
  channel_picker<Clock>& picker_;
  const std::function<void(std::size_t)> resize_;
  core::elastic_size<typename Clock::time_point> size_;
  condition<Clock> due_;
  bool stopping_ = false;
  // Sequentially consistent: either `update` sees a refusal, or that one sees that it has to ask.
  std::atomic<bool> is_refused_{false};
  std::atomic<bool> may_grow_{true};
};

}  // namespace conn_grpc::runtime
