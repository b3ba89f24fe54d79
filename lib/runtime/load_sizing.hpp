// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "core/elastic_size.hpp"
#include "runtime/channel_picker.hpp"
#include "runtime/checked_pool_options.hpp"
#include "runtime/condition.hpp"
#include "runtime/strand.hpp"

#include <algorithm>
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

  /// A lease was refused, or waits, because each channel is full.
  void load_has_grown() {
    is_refused_ = true;
    due_.notify();
  }

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
    // Addresses that are down take no leases.
    const auto capacity = options_.max_in_flight * (std::max)(picker_.leases().served_addresses(), std::size_t{1});
    const std::size_t refused = std::exchange(is_refused_, false) ? 1 : 0;
    const auto peak = picker_.leases().take_peak();
    const auto demand = picker_.leases().in_flight() + (std::max)(picker_.leases().waiting(), refused);
    const auto before = size_.size();
    const auto now = size_.update(Clock::now(), demand, capacity, peak);
    if (now == before) return;
    try {
      resize_(now);
    } catch (const std::bad_alloc&) {  // the next lease that waits asks again
      size_.set(before, Clock::now());
    }
  }

  const checked_pool_options& options_;
  channel_picker<Clock>& picker_;
  const std::function<void(std::size_t)> resize_;
  core::elastic_size<typename Clock::time_point> size_;
  condition<Clock> due_;
  bool is_refused_ = false;
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
