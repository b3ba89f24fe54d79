// SPDX-License-Identifier: BSL-1.0
// A group whose connections come and go on other threads, as gRPC's do, while user threads get, look, stop and destroy.
#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <future>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/storm.hpp"

using namespace conn_grpc::test;
using conn_grpc::error_code;

TEST_CASE("gets, losses, stop and destruction at once, and async_run completes exactly once", "[group]") {
  storm weather(2);
  boost::asio::thread_pool context(3);
  std::atomic<std::uint64_t> taken = 0;
  std::atomic<std::uint64_t> heard = 0;
  const auto& telemetry = conn_grpc::telemetry::global();
  for (int round = 0; round < 300; ++round) {
    auto group = make_storm_group(context.get_executor(), weather, 4);

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
            if (const auto found = storm_group::find(context, "storm")) (void)found->next();
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
    std::shared_ptr<storm_group> group;
    std::atomic<int> completions = 0;
    const bool group_first = round % 2 == 0;
    {
      boost::asio::thread_pool context(2);
      group = make_storm_group(context.get_executor(), weather, 3);
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
