// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/channel_group.hpp"

namespace conn_grpc::test {

using namespace std::chrono_literals;
using runtime::connection_state;

/// Steps all attempts at random, on threads of its own.
class storm {
 public:
  using observer = runtime::connection_observer<std::shared_ptr<int>>;

  class attempt {
   public:
    explicit attempt(observer changed) : changed_(std::move(changed)) {}
    connection_state state() const { return state_; }
    static std::string failure() { return "storm"; }
    static runtime::connection_loss loss() { return {"storm"}; }
    std::shared_ptr<int> channel() const { return state_ == connection_state::connected ? channel_ : nullptr; }

    void step(unsigned random) {
      const auto now = state_.load();
      if (now == connection_state::connecting)
        state_ = random % 4 == 0 ? connection_state::failed : connection_state::connected;
      else if (now == connection_state::connected && random % 4 == 0)
        state_ = connection_state::lost;
      changed_(state_ == connection_state::lost ? channel_ : nullptr);
    }

   private:
    std::atomic<connection_state> state_{connection_state::connecting};
    const std::shared_ptr<int> channel_ = std::make_shared<int>(1);
    observer changed_;
  };

  class connection {
   public:
    connection(storm* weather, std::shared_ptr<attempt> stepped) : storm_(weather), attempt_(std::move(stepped)) {}
    ~connection() { storm_->forget(attempt_); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    connection_state state() const { return attempt_->state(); }
    std::string failure() const { return attempt_->failure(); }
    runtime::connection_loss loss() const { return attempt_->loss(); }
    static bool may_know_more() { return false; }
    std::shared_ptr<int> channel() const { return attempt_->channel(); }

   private:
    storm* storm_;
    std::shared_ptr<attempt> attempt_;
  };

  explicit storm(int threads) {
    for (int t = 0; t < threads; ++t) threads_.emplace_back([this, t] { blow(static_cast<unsigned>(t)); });
  }
  ~storm() {
    done_ = true;
    for (auto& t : threads_) t.join();
  }
  storm(const storm&) = delete;
  storm& operator=(const storm&) = delete;

  std::unique_ptr<connection> connect(observer changed) {
    auto fresh = std::make_shared<attempt>(std::move(changed));
    const std::lock_guard lock(mutex_);
    attempts_.push_back(fresh);
    return std::make_unique<connection>(this, std::move(fresh));
  }

 private:
  void forget(const std::shared_ptr<attempt>& gone) {
    const std::lock_guard lock(mutex_);
    std::erase(attempts_, gone);
  }

  void blow(unsigned seed) {
    std::minstd_rand random(seed + 1);
    while (!done_) {
      std::shared_ptr<attempt> victim;
      {
        const std::lock_guard lock(mutex_);
        if (!attempts_.empty()) victim = attempts_[random() % attempts_.size()];
      }
      if (victim) victim->step(static_cast<unsigned>(random()));
      std::this_thread::yield();
    }
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<attempt>> attempts_;
  std::atomic<bool> done_ = false;
  std::vector<std::thread> threads_;
};

struct storm_connector {
  using channel_type = std::shared_ptr<int>;
  storm* weather;
  using connection_type = storm::connection;
  static std::unique_ptr<storm::connection> reusable(std::unique_ptr<storm::connection>) { return {}; }
  std::unique_ptr<storm::connection> connect(storm::observer changed, std::unique_ptr<storm::connection>) const {
    return weather->connect(std::move(changed));
  }
};

using storm_group = runtime::channel_group<std::chrono::steady_clock, storm_connector>;

struct at_once final : backoff {
  std::chrono::milliseconds next() override { return 0ms; }
  void reset() override {}
};

inline runtime::channel_settings storm_channel() {
  return {.pool_name = {},
          .address = "storm",
          .backoff = {},
          .make_backoff = [](backoff_range) { return std::make_unique<at_once>(); },
          .attempt_limit = 1ms,
          .stable_after = 1ms,
          .on_connect = {},
          .on_disconnect = {},
          .telemetry = telemetry::global(),
          .logger = {}};
}

inline runtime::group_settings storm_settings() {
  return {.name = "storm",
          .type_key = {},
          .address = {},
          .label = {},
          .status_interval = 1ms,
          .max_restarts = 0,
          .restart_window = 1ms,
          .telemetry = telemetry::global(),
          .logger = {}};
}

/// A group in this weather.
inline std::shared_ptr<storm_group> make_storm_group(const boost::asio::any_io_executor& executor, storm& weather,
                                                     int size,
                                                     const runtime::group_settings& whole = storm_settings()) {
  auto group = std::make_shared<storm_group>(executor, whole);
  const auto shared = std::make_shared<const runtime::channel_settings>(storm_channel());
  const auto connector = std::make_shared<const storm_connector>(&weather);
  for (int i = 0; i < size; ++i) group->add(shared, {}, connector);
  return group;
}

}  // namespace conn_grpc::test
