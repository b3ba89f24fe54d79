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

#include "runtime/pool_core.hpp"
#include "support/fake_channel.hpp"

namespace conn_grpc::test {

using namespace std::chrono_literals;
using runtime::connection_state;

/// Steps all attempts at random, on threads of its own. Its channels are numbers.
class storm {
 public:
  class attempt {
   public:
    explicit attempt(runtime::connection_observer changed) : changed_(std::move(changed)) {}
    connection_state state() const { return state_; }
    runtime::channel_ptr channel() const { return state_ == connection_state::connected ? channel_ : nullptr; }

    void step(unsigned random) {
      const auto now = state_.load();
      if (now == connection_state::connecting)
        state_ = random % 4 == 0 ? connection_state::failed : connection_state::connected;
      else if (now == connection_state::connected && random % 4 == 0)
        state_ = connection_state::lost;
      changed_(state_ == connection_state::lost);
    }

   private:
    std::atomic<connection_state> state_{connection_state::connecting};
    const runtime::channel_ptr channel_ = fake_channel(std::make_shared<int>(1));
    runtime::connection_observer changed_;
  };

  class connection final : public runtime::connection {
   public:
    connection(storm& weather, std::shared_ptr<attempt> stepped) : storm_(weather), attempt_(std::move(stepped)) {}
    ~connection() override { storm_.forget(attempt_); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    connection_state state() const override { return attempt_->state(); }
    std::string failure() const override { return "storm"; }
    runtime::connection_loss loss() const override { return {"storm"}; }
    bool may_know_more() const override { return false; }
    runtime::channel_ptr channel() const override { return attempt_->channel(); }

   private:
    storm& storm_;
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

  std::unique_ptr<connection> connect(runtime::connection_observer changed) {
    auto fresh = std::make_shared<attempt>(std::move(changed));
    const std::lock_guard lock(mutex_);
    attempts_.push_back(fresh);
    return std::make_unique<connection>(*this, std::move(fresh));
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

class storm_connector final : public runtime::connector {
 public:
  explicit storm_connector(storm& weather) : storm_(weather) {}
  std::unique_ptr<runtime::connection> connect(const std::string&, runtime::connection_observer changed,
                                               std::shared_ptr<void>) const override {
    return storm_.connect(std::move(changed));
  }

 private:
  storm& storm_;
};

using storm_pool = runtime::pool_core<std::chrono::steady_clock>;

struct at_once final : backoff {
  std::chrono::milliseconds next() override { return 0ms; }
  void reset() override {}
};

inline runtime::checked_pool_options storm_options(std::size_t size) {
  return {.name = "storm",
          .type_key = {},
          .label = {},
          .address = "storm",
          .pool_size = size,
          .status_interval = 1ms,
          .max_restarts = 0,
          .restart_window = 1ms,
          .backoff = {},
          .make_backoff = [](backoff_range) { return std::make_unique<at_once>(); },
          .attempt_limit = 1ms,
          .stable_after = 1ms,
          .on_connect = {},
          .on_disconnect = {},
          .telemetry = telemetry::global(),
          .logger = {}};
}

/// A pool in this weather.
inline std::shared_ptr<storm_pool> make_storm_pool(const boost::asio::any_io_executor& executor, storm& weather,
                                                   runtime::checked_pool_options options) {
  return std::make_shared<storm_pool>(executor,
                                      std::make_shared<const runtime::checked_pool_options>(std::move(options)),
                                      std::make_shared<const storm_connector>(weather));
}

inline storm_pool::result_type next_of(storm_pool& pool) { return pool.pick<runtime::if_none::fail>(); }

}  // namespace conn_grpc::test
