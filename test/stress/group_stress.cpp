// SPDX-License-Identifier: BSL-1.0
// A group whose connections come and go on other threads, as gRPC's do, while user threads get, look, stop and destroy.
#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/channel_group.hpp"
#include "support/catch.hpp"

namespace {

using namespace std::chrono_literals;
using conn_grpc::error_code;
using conn_grpc::runtime::connection_state;

/// Steps all attempts at random, on threads of its own.
class storm {
 public:
  class attempt {
   public:
    explicit attempt(std::function<void()> changed) : changed_(std::move(changed)) {}
    connection_state state() const { return state_; }
    static std::string failure() { return "storm"; }
    static std::shared_ptr<int> channel() { return std::make_shared<int>(1); }

    void step(unsigned random) {
      const auto now = state_.load();
      if (now == connection_state::connecting)
        state_ = random % 4 == 0 ? connection_state::failed : connection_state::connected;
      else if (now == connection_state::connected && random % 4 == 0)
        state_ = connection_state::lost;
      changed_();
    }

   private:
    std::atomic<connection_state> state_{connection_state::connecting};
    std::function<void()> changed_;
  };

  class connection {
   public:
    connection(storm* weather, std::shared_ptr<attempt> stepped) : storm_(weather), attempt_(std::move(stepped)) {}
    ~connection() { storm_->forget(attempt_); }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    connection_state state() const { return attempt_->state(); }
    std::string failure() const { return attempt_->failure(); }
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

  std::unique_ptr<connection> connect(std::function<void()> changed) {
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
  std::unique_ptr<storm::connection> connect(std::function<void()> changed) const {
    return weather->connect(std::move(changed));
  }
};

using group_type = conn_grpc::runtime::channel_group<std::chrono::steady_clock, storm_connector>;

struct at_once final : conn_grpc::backoff {
  std::chrono::milliseconds next() override { return 0ms; }
  void reset() override {}
};

conn_grpc::runtime::channel_settings settings() {
  return {.pool_name = {},
          .name = {},
          .address = "storm",
          .backoff = {},
          .make_backoff = [](conn_grpc::backoff_range) { return std::make_unique<at_once>(); },
          .connect_timeout = 1ms,
          .stable_after = 1ms,
          .on_connect = {},
          .on_disconnect = {},
          .telemetry = conn_grpc::telemetry::global(),
          .logger = {}};
}

conn_grpc::runtime::group_settings whole() {
  return {.name = "storm",
          .type_key = {},
          .label = {},
          .status_interval = 1ms,
          .max_restarts = 0,
          .restart_window = 1ms,
          .telemetry = conn_grpc::telemetry::global(),
          .logger = {}};
}

}  // namespace

TEST_CASE("gets, losses, stop and destruction at once, and async_run completes exactly once", "[group]") {
  storm weather(2);
  boost::asio::thread_pool context(3);
  std::atomic<std::uint64_t> taken = 0;
  std::atomic<std::uint64_t> heard = 0;
  const auto& telemetry = conn_grpc::telemetry::global();
  for (int round = 0; round < 300; ++round) {
    auto group = std::make_shared<group_type>(context.get_executor(), whole());
    for (int i = 0; i < 4; ++i) group->add(settings(), storm_connector{&weather});

    std::atomic<int> completions = 0;
    std::promise<error_code> ended;
    group->async_run([&](error_code ec) {
      if (++completions == 1) ended.set_value(ec);
    });

    std::vector<std::thread> users;
    for (int u = 0; u < 3; ++u)
      users.emplace_back([&, u] {
        for (int i = 0; i < 300; ++i) {
          if (const auto next = group->next()) taken += static_cast<unsigned>(**next);
          if (i % 50 == 0) (void)group->status();
          if (i % 10 == 0)
            if (const auto found = group_type::find(context, "storm")) (void)found->next();
          if (u == 1 && i % 100 == 0)
            telemetry->attach("storm", conn_grpc::event::channel_get, [&](const auto&) { ++heard; });
          if (u == 1 && i % 100 == 50) telemetry->detach("storm");
          if (round % 2 == 0 && u == 0 && i == 250) group->stop();
        }
      });
    for (auto& user : users) user.join();
    group->stop();
    if (round % 3 == 0) group.reset();
    CHECK(ended.get_future().get() == error_code());
    CHECK(completions == 1);
  }
  context.join();
  telemetry->detach("storm");
  CHECK(taken > 0);
  CHECK(heard > 0);
}

TEST_CASE("the context goes in the middle of the storm", "[group]") {
  storm weather(2);
  for (int round = 0; round < 200; ++round) {
    std::shared_ptr<group_type> group;
    std::atomic<int> completions = 0;
    const bool group_first = round % 2 == 0;
    {
      boost::asio::thread_pool context(2);
      group = std::make_shared<group_type>(context.get_executor(), whole());
      for (int i = 0; i < 3; ++i) group->add(settings(), storm_connector{&weather});
      group->async_run([&](error_code) { ++completions; });
      for (int i = 0; i < 200; ++i) (void)group->next();
      context.stop();
      if (group_first) group.reset();  // gRPC's thread may just be telling it news
    }
    CHECK(completions == 0);
    if (group_first) continue;
    group->stop();
    CHECK(group->next().error() == conn_grpc::errc::stopped);
  }
}
