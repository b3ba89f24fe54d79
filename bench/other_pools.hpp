// SPDX-License-Identifier: BSL-1.0
// Other ways to write a pool, without the work that keeps its channels connected. Their
// members never change.
#pragma once

#include <conn_grpc/options.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace conn_grpc::bench {

using member_list = std::vector<channel_ptr>;

/// The least work that hands out shared pointers in turn.
class limit_pool {
 public:
  explicit limit_pool(member_list members) : members_(std::move(members)) {}
  std::uint64_t take_turn() { return turn_.fetch_add(1, std::memory_order_relaxed); }
  channel_ptr get() { return members_[take_turn() % members_.size()]; }

 private:
  alignas(64) std::atomic<std::uint64_t> turn_{0};
  alignas(64) member_list members_;
};

class mutex_pool {
 public:
  explicit mutex_pool(member_list members) : members_(std::move(members)) {}
  channel_ptr get() {
    const std::lock_guard lock(mutex_);
    return members_[turn_++ % members_.size()];
  }

 private:
  std::mutex mutex_;
  std::uint64_t turn_ = 0;
  member_list members_;
};

class snapshot_pool {
 public:
  explicit snapshot_pool(member_list members) : members_(std::make_shared<const member_list>(std::move(members))) {}
  channel_ptr get() {
    const auto now = members_.load(std::memory_order_acquire);
    return (*now)[turn_.fetch_add(1, std::memory_order_relaxed) % now->size()];
  }

 private:
  alignas(64) std::atomic<std::uint64_t> turn_{0};
  alignas(64) std::atomic<std::shared_ptr<const member_list>> members_;
};

inline asio::awaitable<channel_ptr> awaited(limit_pool& pool) { co_return pool.get(); }

/// A get from a pool that lives on a strand: a hop to the strand and back.
inline auto over_strand(limit_pool& pool, asio::io_context& io) {
  return [&pool, strand = asio::make_strand(io)]() -> asio::awaitable<channel_ptr> {
    co_await asio::post(asio::bind_executor(strand, asio::use_awaitable));
    auto channel = pool.get();
    co_await asio::post(asio::use_awaitable);
    co_return channel;
  };
}

}  // namespace conn_grpc::bench
