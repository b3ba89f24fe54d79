// SPDX-License-Identifier: BSL-1.0
// N channels that are kept connected: by conn_grpc, and by the least code that does the
// same with gRPC alone. Both count in a tally how many are connected.
#pragma once

#include <conn_grpc/pool.hpp>

#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace conn_grpc::bench {

// Both have stop(), after which nothing is retried, and a destructor that waits until
// every connection is released.

/// As short as gRPC's own backoff can be.
constexpr std::chrono::milliseconds retry_delay(100);

class tally {
 public:
  void add(int difference) {
    const std::lock_guard lock(mutex_);
    value_ += difference;
    if (value_ == awaited_) reached_.notify_all();
  }

  /// False after 15 seconds.
  [[nodiscard]] bool wait_for(int value) {
    std::unique_lock lock(mutex_);
    awaited_ = value;
    return reached_.wait_for(lock, std::chrono::seconds(15), [&] { return value_ == value; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable reached_;
  int value_ = 0;
  int awaited_ = -1;
};

class constant_backoff final : public backoff {
  std::chrono::milliseconds next() override { return retry_delay; }
  void reset() override {}
};

class pooled_channels {
 public:
  pooled_channels(const std::string& address, int n, tally& connected)
      : pool_(io_,
              {.name = "bench",
               .pool_size = static_cast<std::size_t>(n),
               .channel = {.address = address,
                           .make_backoff = [](backoff_range) { return std::make_unique<constant_backoff>(); },
                           .stable_after = std::chrono::milliseconds(1),  // reconnect at once, as plain_channels does
                           .on_connect = [&connected] { connected.add(1); },
                           .on_disconnect = [&connected] { connected.add(-1); }}}) {
    pool_.async_run(asio::detached);
    thread_ = std::jthread([this] { io_.run(); });
  }

  ~pooled_channels() { stop(); }

  void stop() { pool_.stop(); }

  pooled_channels(const pooled_channels&) = delete;
  pooled_channels& operator=(const pooled_channels&) = delete;

 private:
  asio::io_context io_{1};
  pool pool_;
  std::jthread thread_;
};

class plain_channels {
 public:
  plain_channels(const std::string& address, int n, tally& connected)
      : connected_(connected), watches_(static_cast<std::size_t>(n)), thread_([this] { run(); }) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(retry_delay.count()));
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(retry_delay.count()));
    for (auto& w : watches_) {
      const std::lock_guard lock(mutex_);
      w.channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
      look(w);
    }
  }

  ~plain_channels() {
    stop();
    queue_.Shutdown();
  }

  void stop() {
    std::vector<channel_ptr> dropped;  // dropped after the lock is released, which ends the watches
    const std::lock_guard lock(mutex_);
    for (auto& w : watches_) dropped.push_back(std::move(w.channel));
  }

  plain_channels(const plain_channels&) = delete;
  plain_channels& operator=(const plain_channels&) = delete;

 private:
  struct watch {
    channel_ptr channel;
    bool ready = false;
  };

  void run() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const std::lock_guard lock(mutex_);
      if (auto& w = *static_cast<watch*>(tag); w.channel) look(w);
    }
  }

  // Called with mutex_ held.
  void look(watch& w) {
    const auto state = w.channel->GetState(true);
    const bool ready = state == GRPC_CHANNEL_READY;
    if (std::exchange(w.ready, ready) != ready) connected_.add(ready ? 1 : -1);
    w.channel->NotifyOnStateChange(state, gpr_inf_future(GPR_CLOCK_REALTIME), &queue_, &w);
  }

  tally& connected_;
  std::mutex mutex_;
  std::vector<watch> watches_;
  grpc::CompletionQueue queue_;
  std::jthread thread_;
};

}  // namespace conn_grpc::bench
