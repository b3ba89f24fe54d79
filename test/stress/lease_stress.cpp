// SPDX-License-Identifier: BSL-1.0
// Leases that wait for room, on two threads that cancel them at random, while connections
// come and go. Each ends exactly once, and no count is left.
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <conn_grpc/detail/posted_handler.hpp>
#include <conn_grpc/lease.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/random_connector.hpp"

namespace asio = boost::asio;
using namespace conn_grpc::test;
using conn_grpc::error_code;
using conn_grpc::lease;
using conn_grpc::runtime::if_none;

namespace {

/// A user's thread, whose own context runs its handlers.
class lease_user {
 public:
  lease_user(stress_pool& pool, unsigned seed) : pool_(pool), random_(seed) {}

  void act(int times) {
    for (int i = 0; i < times; ++i) {
      switch (random_() % 4) {
        case 0:
          if (!held_.empty()) held_.pop_front();
          break;
        case 1:
          if (waiters_.empty()) break;
          waiters_[waiters_.size() - 1 - random_() % (std::min)(waiters_.size(), std::size_t{64})].signal->emit(
              asio::cancellation_type::total);
          break;
        default:
          take_or_wait();
      }
      if (i % 8 == 0) run_handlers();
    }
  }

  /// Gives back what it holds and cancels what still waits, until nothing does.
  void end() {
    for (auto& each : waiters_) each.signal->emit(asio::cancellation_type::total);
    while (ended_ < waiters_.size()) {
      held_.clear();
      run_handlers();
      std::this_thread::yield();
    }
    held_.clear();
  }

  // When the thread has ended.

  [[nodiscard]] std::size_t waited() const { return waiters_.size(); }
  [[nodiscard]] std::size_t served() const { return served_; }
  [[nodiscard]] std::size_t cancelled() const { return cancelled_; }
  [[nodiscard]] bool each_ended_once() const {
    return std::ranges::all_of(waiters_, [](const waiter& each) { return each.completions == 1; });
  }

 private:
  struct waiter {
    std::unique_ptr<asio::cancellation_signal> signal = std::make_unique<asio::cancellation_signal>();
    int completions = 0;
  };

  void take_or_wait() {
    auto taken = pool_.lease_channel<if_none::wait>();
    if (taken) return keep(*std::move(taken));
    if (taken.error() != asio::error::would_block) return;
    const auto number = waiters_.size();
    auto& signal = *waiters_.emplace_back().signal;
    auto handler = [this, number](error_code failed, lease given) {
      ++waiters_[number].completions;
      ++ended_;
      if (failed == asio::error::operation_aborted) ++cancelled_;
      if (!failed) ++served_, keep(std::move(given));
    };
    conn_grpc::detail::posted_handler posted(asio::bind_cancellation_slot(signal.slot(), handler), io_.get_executor());
    pool_.wait_for_lease(std::move(posted), io_, std::chrono::microseconds(random_() % 20'000));
  }
  void keep(lease given) {
    held_.push_back(std::move(given));
    if (held_.size() > 8) held_.pop_front();
  }
  void run_handlers() {
    io_.restart();
    io_.poll();
  }

  stress_pool& pool_;
  std::minstd_rand random_;
  std::deque<waiter> waiters_;
  std::size_t ended_ = 0;
  std::size_t served_ = 0;
  std::size_t cancelled_ = 0;
  asio::io_context io_;
  std::deque<lease> held_;
};

}  // namespace

TEST_CASE("a hundred thousand leases, cancelled at random on two threads, leave no count behind", "[leases]") {
  random_stepper stepper(1);
  asio::thread_pool context(1);
  auto options = stress_options(3);
  options.max_in_flight = 2;
  options.max_size = 6;  // less than the two hold
  options.picks_less_loaded = true;
  const auto pool = make_stress_pool(context.get_executor(), stepper, std::move(options));
  pool->async_run([](error_code) {});

  lease_user one(*pool, 1);
  lease_user two(*pool, 2);
  const auto use = [](lease_user& user) {
    // On a busy machine the first lease may come late.
    while (user.waited() < 50'000 || (user.served() == 0 && user.waited() < 1'000'000)) user.act(1'000);
    user.end();
  };
  std::thread other([&] { use(two); });
  use(one);
  other.join();

  CHECK(one.each_ended_once());
  CHECK(two.each_ended_once());
  CHECK(one.waited() + two.waited() >= 100'000);
  CHECK(one.served() + two.served() > 0);
  CHECK(one.cancelled() + two.cancelled() > 0);
  const auto left = pool->status();
  CHECK(left.waiting == 0);
  for (const auto& channel : left.channels) CHECK(channel.in_flight == 0);
  pool->stop();
  context.join();
}
