// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace conn_grpc::core {

/// Decides how many channels a load needs. Grows at once, to what the load needs. Shrinks
/// when a smaller size would have been enough, with a fifth to spare, for a whole period of
/// calm: so a load that comes and goes within the period changes nothing.
template <class TimePoint>
class elastic_size {
 public:
  /// How long the load must have been lower.
  static constexpr std::chrono::seconds calm{10};

  /// @param least, most the limits of the size. `most` is not below `least`.
  elastic_size(std::size_t least, std::size_t most, TimePoint now)
      : least_(least), most_(most), size_(least), calm_since_(now) {}

  [[nodiscard]] std::size_t size() const { return size_; }

  /// @param demand the load now: what is in flight, and what waits.
  /// @param capacity how much of it a size of one takes. Above zero.
  /// @param before the largest load since the last call, if it was larger.
  /// @return the size from now on.
  std::size_t update(TimePoint now, std::size_t demand, std::size_t capacity, std::size_t before = 0) {
    peak_ = (std::max)({peak_, demand, before});
    const auto needed = size_for(demand, capacity);
    if (demand > 0 && needed > size_) {
      size_ = needed;
      begin_calm(now, demand);
    } else if (now - calm_since_ >= calm) {
      const auto roomy = size_for(peak_ + peak_ / 4, capacity);
      size_ = (std::min)(size_, roomy);
      begin_calm(now, demand);
    }
    return size_;
  }

  /// The user has set the size. It may change again from here.
  void set(std::size_t size, TimePoint now) {
    size_ = size;
    begin_calm(now, 0);
  }

  /// When `update` should be called, unless the load grows before.
  [[nodiscard]] TimePoint next_check() const { return calm_since_ + calm; }

 private:
  [[nodiscard]] std::size_t size_for(std::size_t demand, std::size_t capacity) const {
    return std::clamp((demand + capacity - 1) / capacity, least_, most_);
  }
  void begin_calm(TimePoint now, std::size_t demand) {
    calm_since_ = now;
    peak_ = demand;
  }

  const std::size_t least_;
  const std::size_t most_;
  std::size_t size_;
  std::size_t peak_ = 0;  // since the calm began
  TimePoint calm_since_;
};

}  // namespace conn_grpc::core
