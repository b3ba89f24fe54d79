// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace conn_grpc::runtime {

/// The channels of a pool, connected or not. Any thread may read the list, and gets it as
/// it is at that moment. Thread-safe.
template <class Channel>
class roster {
 public:
  using list = std::vector<std::shared_ptr<Channel>>;

  /// @param now the channels, by ascending slot.
  void replace(list now) {
    auto next = std::make_shared<const list>(std::move(now));
    const std::lock_guard lock(mutex_);
    list_.swap(next);
  }

  [[nodiscard]] std::shared_ptr<const list> all() const {
    const std::lock_guard lock(mutex_);
    return list_;
  }
  [[nodiscard]] std::size_t size() const { return all()->size(); }

  /// The channel of this slot; null when there is none.
  [[nodiscard]] std::shared_ptr<Channel> find(std::size_t slot) const {
    const auto now = all();
    const auto at = std::ranges::lower_bound(*now, slot, {}, [](const auto& channel) { return channel->slot(); });
    return at != now->end() && (*at)->slot() == slot ? *at : nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const list> list_ = std::make_shared<const list>();
};

}  // namespace conn_grpc::runtime
