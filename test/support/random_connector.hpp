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

/// Steps all attempts at random, on threads of its own. Each of its channels is a number.
class random_stepper {
 public:
  class attempt {
   public:
    explicit attempt(runtime::connection_observer changed) : changed_(std::move(changed)) {}
    connection_state state() const { return state_; }
    bool serves() const { return serves_; }
    runtime::channel_ptr channel() const { return state_ == connection_state::connected ? channel_ : nullptr; }

    void step(unsigned random) {
      const auto now = state_.load();
      if (now == connection_state::connecting)
        state_ = random % 4 == 0 ? connection_state::failed : connection_state::connected;
      else if (now == connection_state::connected && random % 4 == 0)
        state_ = connection_state::lost;
      else if (now == connection_state::connected && random % 4 == 1)
        serves_ = !serves_;
      const bool is_unusable = state_ == connection_state::lost || !serves_;
      changed_(is_unusable ? runtime::connection_change::unusable : runtime::connection_change::other);
    }

   private:
    std::atomic<connection_state> state_{connection_state::connecting};
    std::atomic<bool> serves_{true};
    const runtime::channel_ptr channel_ = fake_channel(std::make_shared<int>(1));
    runtime::connection_observer changed_;
  };

  class connection final : public runtime::connection {
   public:
    connection(random_stepper& stepper, std::shared_ptr<attempt> stepped)
        : stepper_(stepper), attempt_(std::move(stepped)) {}
    ~connection() override { stepper_.forget(attempt_); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    connection_state state() const override { return attempt_->state(); }
    std::string failure() const override { return "random"; }
    bool is_serving() const override { return attempt_->serves(); }
    std::string why_not_serving() const override { return is_serving() ? "" : "random"; }
    runtime::connection_loss loss() const override { return {"random"}; }
    bool may_know_more() const override { return false; }
    runtime::channel_ptr channel() const override { return attempt_->channel(); }

   private:
    random_stepper& stepper_;
    std::shared_ptr<attempt> attempt_;
  };

  explicit random_stepper(int threads) {
    for (int t = 0; t < threads; ++t) threads_.emplace_back([this, t] { step_attempts(static_cast<unsigned>(t)); });
  }
  ~random_stepper() {
    done_ = true;
    for (auto& t : threads_) t.join();
  }
  random_stepper(const random_stepper&) = delete;
  random_stepper& operator=(const random_stepper&) = delete;

  std::unique_ptr<connection> connect(runtime::connection_observer changed) {
    auto begun = std::make_shared<attempt>(std::move(changed));
    const std::lock_guard lock(mutex_);
    attempts_.push_back(begun);
    return std::make_unique<connection>(*this, std::move(begun));
  }

 private:
  void forget(const std::shared_ptr<attempt>& gone) {
    const std::lock_guard lock(mutex_);
    std::erase(attempts_, gone);
  }

  void step_attempts(unsigned seed) {
    std::minstd_rand random(seed + 1);
    while (!done_) {
      std::shared_ptr<attempt> stepped;
      {
        const std::lock_guard lock(mutex_);
        if (!attempts_.empty()) stepped = attempts_[random() % attempts_.size()];
      }
      if (stepped) stepped->step(static_cast<unsigned>(random()));
      std::this_thread::yield();
    }
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<attempt>> attempts_;
  std::atomic<bool> done_ = false;
  std::vector<std::thread> threads_;
};

class random_connector final : public runtime::connector {
 public:
  explicit random_connector(random_stepper& stepper) : stepper_(stepper) {}
  std::unique_ptr<runtime::connection> connect(const std::string&, runtime::connection_observer changed,
                                               std::shared_ptr<void>) const override {
    return stepper_.connect(std::move(changed));
  }

 private:
  random_stepper& stepper_;
};

using stress_pool = runtime::pool_core<std::chrono::steady_clock>;

struct at_once final : backoff {
  std::chrono::milliseconds next() override { return 0ms; }
  void reset() override {}
};

inline runtime::checked_pool_options stress_options(std::size_t size) {
  return {.name = "stress",
          .type_key = {},
          .label = {},
          .address = "stress",
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

/// A pool whose connections the stepper changes.
inline std::shared_ptr<stress_pool> make_stress_pool(const boost::asio::any_io_executor& executor,
                                                     random_stepper& stepper, runtime::checked_pool_options options) {
  return std::make_shared<stress_pool>(executor,
                                       std::make_shared<const runtime::checked_pool_options>(std::move(options)),
                                       std::make_shared<const random_connector>(stepper));
}

inline stress_pool::result_type next_of(stress_pool& pool) { return pool.pick<runtime::if_none::fail>(); }

}  // namespace conn_grpc::test
