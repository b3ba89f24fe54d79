// SPDX-License-Identifier: BSL-1.0
// Leases: counted, limited, waiting in line, and given to the less loaded channel.
#include <conn_grpc/lease.hpp>

#include <boost/asio/error.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/served_pool.hpp"

using namespace conn_grpc::test;
using namespace std::chrono_literals;
using conn_grpc::errc;
using conn_grpc::error_code;
using conn_grpc::lease;
using conn_grpc::runtime::if_none;

namespace {

struct leased_pool : served_pool {
  explicit leased_pool(std::size_t size = 1, std::size_t max_in_flight = 0) : served_pool(size) {
    options.max_in_flight = max_in_flight;
  }

  lease take() { return pool->lease_channel<if_none::fail>().value(); }
  [[nodiscard]] error_code refusal() { return pool->lease_channel<if_none::fail>().error(); }

  /// A lease that waits; the result is appended to `answers` and `leases`.
  void wait(std::string who, std::chrono::nanoseconds timeout = 1h) {
    pool->wait_for_lease(
        [this, who = std::move(who)](const conn_grpc::detail::fallback&, error_code failed, lease given) {
          answers.push_back(who + (failed ? ": " + failed.message() : ""));
          if (given) leases.push_back(std::move(given));
        },
        *io, timeout);
  }

  std::vector<std::string> answers;
  std::vector<lease> leases;
};

}  // namespace

TEST_CASE("a lease is counted until it is destroyed", "[lease]") {
  leased_pool f(2);
  f.connect();
  auto first = f.take();
  auto second = f.take();
  CHECK(first.channel() != second.channel());
  CHECK(first.address() == "host:1");
  CHECK(f.status(0).in_flight == 1);
  CHECK(f.status(1).in_flight == 1);
  SECTION("moving keeps the count") {
    lease moved(std::move(first));
    CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move)
    CHECK(f.status(0).in_flight == 1);
    second = std::move(moved);
    CHECK(f.status(0).in_flight + f.status(1).in_flight == 1);
    second = lease();
  }
  SECTION("destroying ends it") {
    {
      const lease gone(std::move(first));
    }
    CHECK(f.status(0).in_flight == 0);
    second = lease();
  }
  SECTION("it may outlive the connection and the pool") {
    f.connector.attempt(0).lose();
    f.drain();
    CHECK(f.status(0).in_flight == 1);
    f.pool->stop();
    f.drain();
    f.pool.reset();
    first = lease();
    second = lease();
    return;
  }
  CHECK(f.status(0).in_flight == 0);
  CHECK(f.status(1).in_flight == 0);
  CHECK(f.status(0).served + f.status(1).served == 2);
}

TEST_CASE("a channel has no more leases than it may have, and a lease that ends serves the next in line", "[lease]") {
  leased_pool f(2, 2);
  f.connect();
  std::vector<lease> held;
  for (int i = 0; i < 4; ++i) held.push_back(f.take());
  CHECK(f.status(0).in_flight == 2);
  CHECK(f.status(1).in_flight == 2);
  CHECK(f.refusal() == boost::asio::error::try_again);
  f.wait("a");
  f.wait("b");
  f.wait("c");
  CHECK(f.pool->status().waiting == 3);
  CHECK(f.answers.empty());
  const auto freed = held.back().channel();
  held.pop_back();
  CHECK(f.answers == std::vector<std::string>{"a"});
  CHECK(f.leases.back().channel() == freed);
  held.clear();
  CHECK(f.answers == std::vector<std::string>{"a", "b", "c"});
  CHECK(f.pool->status().waiting == 0);
  f.leases.clear();
  CHECK(f.status(0).in_flight + f.status(1).in_flight == 0);
  CHECK(f.status(0).served + f.status(1).served == 7);
}

TEST_CASE("a lease that waits ends at its timeout, by cancellation, or with the pool", "[lease]") {
  leased_pool f(1, 1);
  f.connect();
  const auto held = f.take();
  f.wait("late", 10ms);
  f.wait("stopped");
  f.advance(10ms);
  CHECK(f.answers == std::vector<std::string>{"late: " + make_error_code(errc::not_connected).message()});
  f.pool->stop();
  f.drain();
  CHECK(f.answers.back() == "stopped: " + make_error_code(errc::stopped).message());
  CHECK(f.leases.empty());
}

TEST_CASE("a lease waits for the first connection", "[lease]") {
  leased_pool f(1, 1);
  f.run();
  f.wait("first");
  f.wait("second");
  f.connector.last().succeed();
  f.drain();
  CHECK(f.answers == std::vector<std::string>{"first"});
  std::exchange(f.leases, {}).clear();
  CHECK(f.answers == std::vector<std::string>{"first", "second"});
}

TEST_CASE("gets do not count, and a full channel is still returned by gets", "[lease]") {
  leased_pool f(1, 1);
  f.connect();
  const auto held = f.take();
  CHECK(f.next().value() == held.channel());
  CHECK(f.status(0).in_flight == 1);
}

TEST_CASE("the less loaded of two channels at random gets the lease", "[lease]") {
  leased_pool f(4);
  f.options.picks_less_loaded = true;
  f.connect();
  std::vector<lease> slow;  // all leases of one channel, which never ends any
  std::map<const void*, int> picked;
  const auto kept = f.take();
  const auto frozen = kept.channel();
  for (int i = 0; i < 4'000; ++i) {
    auto leased = f.take();
    ++picked[leased.channel().get()];
    if (leased.channel() == frozen) slow.push_back(std::move(leased));
  }
  CHECK(slow.empty());
  CHECK(picked.size() == 3);
  for (const auto& [channel, count] : picked)
    if (channel != frozen.get()) CHECK(count > 1'000);
}

TEST_CASE("several channels to a slow server get no lease while another server is less loaded", "[lease]") {
  leased_pool f(3);
  f.options.picks_less_loaded = true;
  f.options.addresses = {"slow:1", "a:1", "b:1"};
  f.run();
  for (std::size_t i = 0; i < 9; ++i) f.connector.attempt(i).succeed();
  f.drain();
  std::vector<lease> slow;  // leases that do not end, of each channel to the slow server
  std::set<const void*> loaded;
  while (loaded.size() < 3) {
    auto leased = f.take();
    if (leased.address() != "slow:1") continue;
    loaded.insert(leased.channel().get());
    slow.push_back(std::move(leased));
  }
  std::map<std::string, int> picked;
  for (int i = 0; i < 1'000; ++i) ++picked[f.take().address()];
  CHECK(picked.size() == 2);
  for (const auto& [address, count] : picked) {
    CHECK(address != "slow:1");
    CHECK(count > 400);
  }
}

TEST_CASE("a connection is suspect after enough failures in a row", "[lease]") {
  leased_pool f(1);
  f.options.suspect_after = 3;
  f.connect();
  const auto leased = f.take();
  const auto& member = conn_grpc::runtime::member_of(*leased.target());
  member.count_failure("no answer");
  member.count_failure("no answer");
  member.end_row_of_failures();
  member.count_failure("no answer");
  member.count_failure("no answer");
  f.drain();
  CHECK(f.connector.attempts() == 1);
  member.count_failure("no answer");
  f.drain();
  REQUIRE(f.connector.attempts() == 2);
  f.connector.last().succeed();
  f.drain();
  CHECK_THAT(f.happened().back(), has_text("3 RPCs in a row have failed, the last with \"no answer\""));
}

TEST_CASE("a drain waits for leases", "[lease]") {
  leased_pool f(1);
  f.connect();
  auto held = f.take();
  bool is_drained = false;
  f.pool->async_drain([&](error_code) { is_drained = true; }, 1h);
  f.drain();
  f.advance(1s);
  CHECK_FALSE(is_drained);
  CHECK(f.refusal() == errc::stopped);
  held = lease();
  f.advance(1s);
  CHECK(is_drained);
}

TEST_CASE("a mock answers leases, too", "[lease]") {
  leased_pool f(1, 1);
  const auto mocked = fake_channel(std::make_shared<std::string>("mocked"));
  f.mock = [&] { return mocked; };
  f.make_pool();
  const auto one = f.take();
  const auto two = f.take();
  CHECK(one.channel() == mocked);
  CHECK(two.channel() == mocked);
  CHECK(one.address() == "host:1");
}

TEST_CASE("a pool may be made larger and smaller, and leases of removed channels go on", "[lease]") {
  leased_pool f(1);
  f.connect();
  const auto resize = [&](std::size_t size) {
    std::optional<error_code> done;
    f.pool->async_resize([&](error_code failed) { done = failed; }, size);
    f.drain();
    CHECK(done == error_code());
  };
  resize(3);
  CHECK(f.pool->status().expected_size == 3);
  REQUIRE(f.connector.attempts() == 3);
  f.connector.attempt(1).succeed();
  f.connector.attempt(2).succeed();
  f.drain();
  std::vector<lease> held;
  for (int i = 0; i < 3; ++i) held.push_back(f.take());
  resize(1);
  CHECK(f.pool->status().expected_size == 1);
  CHECK(f.pool->status().channels.size() == 1);
  CHECK(f.connector.attempt(1).given_up);
  CHECK(f.connector.attempt(2).given_up);
  for (int i = 0; i < 3; ++i) CHECK(f.take().channel() == held[0].channel());
  held.clear();
  resize(2);
  CHECK(f.connector.attempts() == 4);
  CHECK(f.status(1).name == "pool/1");
  resize(0);
  CHECK(f.refusal() == errc::not_connected);
  f.pool->stop();
  f.drain();
  std::optional<error_code> done;
  f.pool->async_resize([&](error_code failed) { done = failed; }, 3);
  f.drain();
  CHECK(done == make_error_code(errc::stopped));
}

namespace {

/// A pool of one channel that has ten leases, and for which 25 more callers wait. So it grows
/// to four channels.
struct grown_pool : leased_pool {
  grown_pool() : leased_pool(1, 10) {
    options.max_size = 5;
    connect();
    for (int i = 0; i < 10; ++i) held.push_back(take());
    for (int i = 0; i < 25; ++i) wait("waits");
    drain();
  }
  void connect_others() {
    for (std::size_t i = 1; i < 4; ++i) connector.attempt(i).succeed();
    drain();
  }

  std::vector<lease> held;
};

}  // namespace

TEST_CASE("the size of a pool follows its leases", "[lease]") {
  grown_pool f;
  CHECK(f.pool->status().expected_size == 4);
  f.connect_others();
  CHECK(f.leases.size() == 25);
  f.leases.clear();
  f.held.clear();
  f.advance(10s);
  CHECK(f.pool->status().expected_size == 4);  // the peak was within these 10 s
  f.advance(10s);
  CHECK(f.pool->status().expected_size == 1);
  CHECK(f.pool->status().channels.size() == 1);
}

TEST_CASE("a pool of its largest size is not asked to grow, and keeps the size while leases are refused", "[lease]") {
  leased_pool f(1, 10);
  f.options.max_size = 3;
  f.connect();
  std::vector<lease> held;
  for (int i = 0; i < 10; ++i) held.push_back(f.take());
  for (int i = 0; i < 20; ++i) f.wait("waits", 1s);
  f.drain();
  REQUIRE(f.pool->status().expected_size == 3);  // the other two do not connect
  f.advance(10s);
  CHECK(f.refusal() == boost::asio::error::try_again);
  f.io->restart();
  CHECK(f.io->poll() == 0);
  f.advance(10s);
  CHECK(f.pool->status().expected_size == 3);
  held.clear();
  for (int i = 0; i < 2; ++i) f.advance(10s);
  CHECK(f.pool->status().expected_size == 1);
}

TEST_CASE("a load that comes and goes between two looks at it keeps the size", "[lease]") {
  grown_pool f;
  f.connect_others();
  f.leases.clear();
  f.held.clear();
  for (int i = 0; i < 40; ++i) {
    f.advance(1s);
    for (int j = 0; j < 35; ++j) f.held.push_back(f.take());
    f.held.clear();
  }
  CHECK(f.pool->status().expected_size == 4);
  f.advance(10s);
  f.advance(10s);
  CHECK(f.pool->status().expected_size == 1);
}

TEST_CASE("a connection that serves again keeps its leases", "[lease]") {
  leased_pool f(1, 1);
  f.connect();
  const auto held = f.take();
  f.connector.last().stop_serving();
  f.drain();
  f.connector.last().serve_again();
  f.drain();
  CHECK(f.next());
  CHECK(f.refusal() == boost::asio::error::try_again);
}

TEST_CASE("a pool that becomes smaller during a change of its addresses ends that change", "[lease]") {
  leased_pool f(2);
  f.options.addresses = {"a:1"};
  f.connect();
  f.pool->set_addresses({"b:1"});
  f.drain();
  f.pool->async_resize([](error_code) {}, 1);
  f.drain();
  for (std::size_t i = 2; i < f.connector.attempts(); ++i)
    if (!f.connector.attempt(i).given_up) f.connector.attempt(i).succeed();
  f.drain();
  CHECK(f.pool->status().channels.size() == 1);
  CHECK(f.status().address == "b:1");
}

TEST_CASE("a pool without addresses does not grow, and sleeps", "[lease]") {
  leased_pool f(1, 1);
  f.options.addresses = {"a:1"};
  f.options.max_size = 5;
  f.connect();
  f.pool->set_addresses({});
  f.drain();
  f.wait("first");
  for (int i = 0; i < 5; ++i) f.advance(10s);  // returns when nothing is left to do at that time
  CHECK(f.answers.empty());
}

TEST_CASE("addresses that are down do not count as room", "[lease]") {
  leased_pool f(1, 2);
  f.options.addresses = {"a:1", "b:1"};
  f.options.max_size = 8;
  f.run();
  f.connector.attempt(0).succeed();
  f.drain();
  std::vector<lease> held;
  for (int i = 0; i < 2; ++i) held.push_back(f.take());
  f.wait("third");
  f.drain();
  CHECK(f.pool->status().expected_size == 4);
}

TEST_CASE("a size beyond all reason is refused", "[lease]") {
  leased_pool f(1);
  f.connect();
  std::optional<error_code> done;
  f.pool->async_resize([&](error_code failed) { done = failed; }, 1'000'000'000);
  f.drain();
  CHECK(done == boost::asio::error::invalid_argument);
  CHECK(f.pool->status().expected_size == 1);
}
