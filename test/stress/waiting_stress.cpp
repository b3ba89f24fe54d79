// SPDX-License-Identifier: BSL-1.0
// Gets that wait, on many executors, while connections come and go. Each get ends exactly
// once, whatever happens.
#include <algorithm>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/random_connector.hpp"
#include "support/user_executor.hpp"

namespace asio = boost::asio;
using namespace conn_grpc::test;
using conn_grpc::error_code;

namespace {

struct tally {
  std::atomic<int> begun = 0, served = 0, failed = 0, destroyed = 0;
  [[nodiscard]] int ended() const { return served + failed + destroyed; }
};

/// A handler that counts how it ends.
class counted {
 public:
  explicit counted(tally& counts) : counts_(&counts) { ++counts.begun; }
  counted(counted&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)) {}
  counted& operator=(counted&&) = delete;
  ~counted() {
    if (counts_) ++counts_->destroyed;
  }

  void operator()(error_code why, const conn_grpc::runtime::channel_ptr& channel = {}) {
    auto& counts = *std::exchange(counts_, nullptr);
    if (channel && why) ++counts.begun;  // never both: makes the sums differ
    ++(why ? counts.failed : counts.served);
  }

 private:
  tally* counts_;
};

/// A user's thread: its gets wait on one executor, and it cancels some of them.
class user {
 public:
  user(std::shared_ptr<stress_pool> pool, asio::any_io_executor handler_executor, tally& counts, unsigned seed)
      : pool_(std::move(pool)), handler_executor_(std::move(handler_executor)), counts_(counts), random_(seed) {}

  void act(int times) {
    for (int i = 0; i < times; ++i) {
      const auto timeout = std::chrono::microseconds(random_() % 2'000);
      switch (random_() % 6) {
        case 0:
        case 1:
        case 2:
          if (const auto found = pool_->pick<conn_grpc::runtime::if_none::wait>();
              !found && found.error() == asio::error::would_block)
            pool_->wait_for_channel(handler(), context(), timeout);
          break;
        case 3:
          pool_->wait_for_size(handler(), context(), random_() % 4, timeout);
          break;
        case 4:
          if (!cancels_.empty()) cancels_[random_() % cancels_.size()].emit(asio::cancellation_type::total);
          break;
        default:
          (void)next_of(*pool_);
      }
    }
  }

 private:
  conn_grpc::detail::posted_handler<asio::cancellation_slot_binder<counted, asio::cancellation_slot>,
                                    asio::any_io_executor>
  handler() {
    return {asio::bind_cancellation_slot(cancels_.emplace_back().slot(), counted(counts_)), handler_executor_};
  }
  asio::execution_context& context() const { return asio::query(handler_executor_, asio::execution::context); }

  std::shared_ptr<stress_pool> pool_;
  asio::any_io_executor handler_executor_;
  tally& counts_;
  std::minstd_rand random_;
  std::deque<asio::cancellation_signal> cancels_;
};

conn_grpc::runtime::checked_pool_options with_limit(std::size_t most) {
  auto options = stress_options(2);
  options.max_waiters = most;
  return options;
}

}  // namespace

TEST_CASE("every get that waits ends exactly once: channels, deadlines, cancellations, stop, destruction",
          "[waiting]") {
  random_stepper stepper(1);
  tally counts;
  for (unsigned round = 0; round < 100; ++round) {
    asio::thread_pool context(2);
    asio::thread_pool elsewhere(1);
    auto pool = make_stress_pool(context.get_executor(), stepper, with_limit(round % 3 == 0 ? 4 : 0));
    pool->async_run([](error_code) {});

    const std::vector<asio::any_io_executor> executors{context.get_executor(), elsewhere.get_executor(),
                                                       asio::make_strand(elsewhere), asio::system_executor()};
    std::deque<user> users;
    std::vector<std::thread> threads;
    for (unsigned u = 0; u < executors.size(); ++u) {
      auto& acting = users.emplace_back(pool, executors[u], counts, round * 10 + u);
      threads.emplace_back([&, u] {
        acting.act(150);
        if (u == round % 8) pool->stop();
        acting.act(50);
      });
    }
    for (auto& thread : threads) thread.join();
    if (round % 2 == 0) pool->stop();
    users.clear();  // the last owners of the pool, unless it runs
    std::exchange(pool, nullptr)->stop();
    context.join();
    elsewhere.join();
  }
  // A handler that was posted to the system executor may still be running.
  while (counts.ended() < counts.begun) std::this_thread::yield();
  CHECK(counts.ended() == counts.begun);
  CHECK(counts.destroyed == 0);
  CHECK(counts.served > 0);
  CHECK(counts.failed > 0);
}

TEST_CASE("when a context is destroyed while gets wait, its own handlers are destroyed, and others are completed",
          "[waiting]") {
  random_stepper stepper(1);
  tally counts;
  for (unsigned round = 0; round < 100; ++round) {
    std::optional<asio::thread_pool> context(std::in_place, 1);
    std::optional<asio::thread_pool> elsewhere(std::in_place, 1);
    auto pool = make_stress_pool(context->get_executor(), stepper, stress_options(1));
    pool->async_run([](error_code) {});

    std::deque<user> users;
    users.emplace_back(pool, context->get_executor(), counts, round);
    users.emplace_back(pool, elsewhere->get_executor(), counts, round + 1);
    std::thread other([&] { users[1].act(50); });
    users[0].act(50);
    other.join();
    if (round % 4 < 2) users.clear(), pool.reset();
    if (round % 2 == 0) context.reset();
    elsewhere.reset();
    context.reset();
    users.clear();
    if (pool) pool->stop();
  }
  CHECK(counts.ended() == counts.begun);
  CHECK(counts.destroyed > 0);
}

TEST_CASE("a context is destroyed while another thread posts to it", "[waiting]") {
  random_stepper stepper(1);
  tally counts;
  asio::thread_pool context(1);
  for (int round = 0; round < 300; ++round) {
    auto handler_context = std::make_unique<asio::io_context>();
    auto pool = make_stress_pool(context.get_executor(), stepper, stress_options(1));
    pool->async_run([](error_code) {});
    for (int i = 0; i < 20; ++i) {
      conn_grpc::detail::posted_handler posted(counted(counts), handler_context->get_executor());
      pool->wait_for_channel(std::move(posted), *handler_context, 1h);
    }
    std::atomic<bool> begun = false;
    std::thread destroys([&] {
      while (!begun) std::this_thread::yield();
      handler_context.reset();
    });
    begun = true;
    pool->stop();
    destroys.join();
  }
  context.join();
  CHECK(counts.ended() == counts.begun);
}

TEST_CASE("executors may own their context, and throw now and then, while that context runs", "[waiting]") {
  random_stepper stepper(1);
  tally counts;
  asio::thread_pool context(1);
  for (int round = 0; round < 300; ++round) {
    auto handler_context = std::make_shared<asio::io_context>();
    const auto script = std::make_shared<user_script>();
    script->refused = round % 4;
    auto pool = make_stress_pool(context.get_executor(), stepper, stress_options(1));
    pool->async_run([](error_code) {});
    for (int i = 0; i < 5; ++i) {
      const user_executor executor(handler_context, script);
      conn_grpc::detail::posted_handler posted(asio::bind_executor(executor, counted(counts)), executor);
      pool->wait_for_channel(std::move(posted), *handler_context, 1h);
    }
    const std::weak_ptr watched = std::exchange(handler_context, nullptr);
    std::thread runs([&] {
      while (const auto alive = watched.lock())
        alive->restart(), alive->poll();  // this thread, or the thread that posts, is the last owner
    });
    pool->stop();
    runs.join();
  }
  context.join();
  CHECK(counts.ended() == counts.begun);
  CHECK(counts.destroyed == 0);
}

TEST_CASE("no get is served before an earlier one", "[waiting]") {
  random_stepper stepper(1);
  for (int round = 0; round < 30; ++round) {
    asio::thread_pool context(2);
    asio::io_context one;  // runs its handlers in the order in which they were posted
    auto pool = make_stress_pool(context.get_executor(), stepper, stress_options(1));
    pool->async_run([](error_code) {});
    std::vector<int> served;
    for (int i = 0; i < 500; ++i) {
      const auto handler = [&served, i](error_code, const conn_grpc::runtime::channel_ptr&) { served.push_back(i); };
      if (const auto found = pool->pick<conn_grpc::runtime::if_none::wait>())
        conn_grpc::detail::complete_now(handler, one.get_executor(), *pool, error_code(), *found);
      else
        pool->wait_for_channel(conn_grpc::detail::posted_handler(handler, one.get_executor()), one, 1h);
    }
    one.run();
    CHECK(served.size() == 500);
    CHECK(std::ranges::is_sorted(served));
    pool->stop();
    context.join();
  }
}
