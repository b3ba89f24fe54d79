// SPDX-License-Identifier: BSL-1.0
// The connections of a pool come and go on other threads, as gRPC's do. Meanwhile the
// user's threads get, read the status, stop and destroy.
#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <future>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/random_connector.hpp"

using namespace conn_grpc::test;
using conn_grpc::error_code;

TEST_CASE("async_run completes exactly once, with gets, losses, stop and destruction at the same time", "[pool]") {
  random_stepper stepper(2);
  boost::asio::thread_pool context(3);
  std::atomic<std::uint64_t> taken = 0;
  std::atomic<std::uint64_t> received = 0;
  const auto& telemetry = conn_grpc::telemetry::global();
  // On a busy machine many rounds end before a channel connects.
  const auto saw_all = [&] { return taken > 0 && received > 0; };
  for (int round = 0; round < 300 || (!saw_all() && round < 30'000); ++round) {
    auto pool = make_stress_pool(context.get_executor(), stepper, stress_options(4));

    std::atomic<int> completions = 0;
    std::promise<error_code> ended;
    pool->async_run([&](error_code ec) {
      if (++completions == 1) ended.set_value(ec);
    });

    std::vector<std::thread> users;
    for (int u = 0; u < 3; ++u)
      users.emplace_back([&, u] {
        for (int i = 0; i < 300; ++i) {
          if (const auto next = next_of(*pool)) taken += static_cast<unsigned>(object_of<int>(*next));
          if (i % 50 == 0) (void)pool->status();
          if (i % 10 == 0)
            if (const auto found = stress_pool::find(context, "stress"))
              (void)found->pick<conn_grpc::runtime::if_none::fail>();
          if (u == 1 && i % 100 == 0)
            telemetry->attach("stress", conn_grpc::event::channel_get, [&](const auto&) { ++received; });
          if (u == 1 && i % 100 == 50) telemetry->detach("stress");
          if (round % 2 == 0 && u == 0 && i == 250) pool->stop();
        }
      });
    for (auto& user : users) user.join();
    pool->stop();
    if (round % 3 == 0) pool.reset();
    CHECK(ended.get_future().get() == error_code());
    CHECK(completions == 1);
  }
  context.join();
  telemetry->detach("stress");
  CHECK(taken > 0);
  CHECK(received > 0);
}

TEST_CASE("the context may be destroyed while connections and gets go on", "[pool]") {
  random_stepper stepper(2);
  for (int round = 0; round < 200; ++round) {
    std::shared_ptr<stress_pool> pool;
    std::atomic<int> completions = 0;
    const bool pool_first = round % 2 == 0;
    {
      boost::asio::thread_pool context(2);
      pool = make_stress_pool(context.get_executor(), stepper, stress_options(3));
      pool->async_run([&](error_code) { ++completions; });
      for (int i = 0; i < 200; ++i) (void)next_of(*pool);
      context.stop();
      if (pool_first) pool.reset();  // gRPC's thread may be calling its observer
    }
    CHECK(completions == 0);
    if (pool_first) continue;
    pool->stop();
    CHECK(next_of(*pool).error() == conn_grpc::errc::stopped);
  }
}
