// SPDX-License-Identifier: BSL-1.0
// A pool that resolves its name, on virtual time. The test ends each look-up by hand.
#include <algorithm>
#include <utility>

#include "support/catch.hpp"
#include "support/waiting_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::runtime::resolution;

namespace {

struct resolving_pool : waiting_fixture {
  using list = std::vector<std::string>;

  explicit resolving_pool(std::chrono::milliseconds interval, std::size_t size = 1) : waiting_fixture(size) {
    options.address = "backend:1";
    options.resolve_interval = interval;
    options.resolve = [this](std::function<void(resolution)> done) {
      ++look_ups;
      under_way = std::move(done);
    };
  }

  void find(list addresses) { end({.addresses = std::move(addresses)}); }
  void fail(std::string why) { end({.failure = std::move(why)}); }
  void end(resolution found) {
    REQUIRE(under_way);
    std::exchange(under_way, nullptr)(std::move(found));
    drain();
  }
  /// A pool whose name has these addresses, all of them connected.
  void run_with(list addresses) {
    run();
    find(std::move(addresses));
    connect_all();
  }
  void connect_all() {
    for (std::size_t i = 0; i < connector.attempts(); ++i)
      if (connector.attempt(i).state == conn_grpc::runtime::connection_state::connecting)
        connector.attempt(i).succeed();
    drain();
  }
  [[nodiscard]] list channels() const {
    list all;
    for (const auto& channel : pool->status().channels) all.push_back(channel.name);
    return all;
  }

  int look_ups = 0;
  std::function<void(resolution)> under_way;
};

}  // namespace

TEST_CASE("a pool has the addresses that its name has at the start", "[resolve]") {
  resolving_pool f(10s, 2);
  f.make_pool();
  CHECK(f.look_ups == 0);
  f.run();
  CHECK(f.look_ups == 1);
  CHECK(f.connector.attempts() == 0);
  CHECK(f.channels().empty());
  f.find({"b:1", "a:1", "b:1"});
  CHECK(f.channels() == resolving_pool::list{"pool/a:1/0", "pool/b:1/0", "pool/a:1/1", "pool/b:1/1"});
  CHECK(f.connector.attempts() == 4);
  CHECK(f.pool->status().expected_size == 4);
}

TEST_CASE("the name is resolved again after each interval, plus or minus a tenth", "[resolve]") {
  resolving_pool f(10s);
  f.run_with({"a:1"});
  for (int n = 2; n < 5; ++n) {
    f.advance(8'999ms);
    CHECK(f.look_ups == n - 1);
    f.advance(2'001ms);
    REQUIRE(f.look_ups == n);
    f.find({"a:1"});
  }
  CHECK(f.connector.attempts() == 1);
}

TEST_CASE("the interval begins when the look-up ends", "[resolve]") {
  resolving_pool f(10s);
  f.run();
  f.advance(1h);
  CHECK(f.look_ups == 1);
  f.find({"a:1"});
  f.connect_all();
  f.advance(8'999ms);
  CHECK(f.look_ups == 1);
}

TEST_CASE("new addresses are connected before those that went are withdrawn", "[resolve]") {
  resolving_pool f(10s);
  f.run_with({"a:1", "b:1"});
  f.advance(11s);
  f.find({"b:1", "c:1"});
  REQUIRE(f.connector.attempts() == 3);
  CHECK(f.connector.last().address == "c:1");
  CHECK_FALSE(f.connector.attempt(0).given_up);
  f.connect_all();
  CHECK(f.connector.attempt(0).given_up);
  CHECK_FALSE(f.connector.attempt(1).given_up);
  CHECK(f.channels() == resolving_pool::list{"pool/b:1/0", "pool/c:1/0"});
}

TEST_CASE("a look-up that fails keeps the addresses, and its reason is in the status", "[resolve]") {
  resolving_pool f(10s);
  f.options.debug = true;
  f.run_with({"a:1"});
  f.advance(11s);
  f.fail("Temporary failure in name resolution");
  CHECK_FALSE(f.connector.attempt(0).given_up);
  CHECK(f.next());
  const auto now = f.pool->status();
  REQUIRE(now.addresses.size() == 2);
  CHECK(now.addresses[0].address == "a:1");
  CHECK(now.addresses[0].last_error.empty());
  CHECK(now.addresses[1].address == "backend:1");
  CHECK(now.addresses[1].expected_size == 0);
  const std::string why = "backend:1 cannot be resolved: Temporary failure in name resolution";
  CHECK(now.addresses[1].last_error == why);
  CHECK_THAT(f.lines(), has_text("conn_grpc pool=pool name=backend:1: resolved to a:1\n"));
  CHECK_THAT(f.lines(), has_text("name=backend:1: cannot be resolved: Temporary failure in name resolution; "
                                 "the addresses stay\n"));

  SECTION("it is also in the exception of a get when nothing is connected") {
    f.connector.attempt(0).lose();
    f.drain();
    CHECK_THAT(f.text_of_get(), has_text("pool/a:1/0: connection lost after 11000 ms: closed by the peer; " + why));
  }
  SECTION("it goes with a look-up that succeeds") {
    f.advance(1'100ms);
    f.find({"a:1"});
    CHECK(f.pool->status().addresses.size() == 1);
  }
}

TEST_CASE("a get waits for the first look-up, and has its reason", "[resolve]") {
  resolving_pool f(10s);
  f.run();
  CHECK(f.next().error() == errc::not_connected);
  CHECK_THAT(f.text_of_get(), has_text("conn_grpc pool pool: the look-up of backend:1 has not ended yet"));
  f.wait("get", 1min);
  f.wait("short", 2s);
  f.wait_for_size("size 2", 2);
  f.wait_for_size("size 3", 3);
  CHECK(f.answers().empty());

  f.fail("Name or service not known");
  CHECK(f.answers().empty());
  CHECK_THAT(f.text_of_get(), has_text("conn_grpc pool pool: backend:1 cannot be resolved: Name or service not known"));
  f.advance(1'100ms);
  CHECK(f.look_ups == 2);
  f.fail("Name or service not known");
  f.advance(900ms);
  CHECK(f.answers() == resolving_pool::list{"short: no channel is connected"});
  f.advance(1'300ms);
  CHECK(f.look_ups == 3);

  f.find({"a:1", "b:1"});
  CHECK(f.answers() == resolving_pool::list{"size 3: Invalid argument"});
  f.connector.attempt(0).succeed();
  f.drain();
  CHECK(f.answers() == resolving_pool::list{"get: attempt 1"});
  f.connector.attempt(1).succeed();
  f.drain();
  CHECK(f.answers() == resolving_pool::list{"size 2: Success"});
}

TEST_CASE("a pool of size 0 lets no get wait for a look-up", "[resolve]") {
  resolving_pool f(10s, 0);
  f.run();
  f.wait("get", 1min);
  f.drain();
  CHECK(f.answers() == resolving_pool::list{"get: no channel is connected"});
}

TEST_CASE("a look-up that fails is repeated after pauses that double", "[resolve]") {
  const auto interval = GENERATE(std::chrono::milliseconds(1h), std::chrono::milliseconds(3s));
  resolving_pool f(interval);
  f.run();
  f.fail("no server");
  std::chrono::milliseconds pause = 1s;
  for (int n = 2; n < 10; ++n) {
    f.advance(pause * 9 / 10 - 1ms);
    CHECK(f.look_ups == n - 1);
    f.advance(pause / 5 + 1ms);
    REQUIRE(f.look_ups == n);
    f.fail("no server");
    pause = (std::min)({pause * 2, std::chrono::milliseconds(30s), interval});
  }
}

TEST_CASE("a loss begins a look-up at once", "[resolve]") {
  resolving_pool f(1h);
  f.run_with({"a:1"});
  f.advance(2s);
  f.connector.last().lose();
  f.drain();
  CHECK(f.look_ups == 2);
  CHECK(f.connector.attempts() == 2);
}

TEST_CASE("a failed attempt begins a look-up, too", "[resolve]") {
  resolving_pool f(1h);
  f.run();
  f.find({"a:1"});
  f.advance(2s);
  f.connector.last().fail("No route to host");
  f.drain();
  CHECK(f.look_ups == 2);
}

TEST_CASE("a server that flaps causes few look-ups", "[resolve]") {
  resolving_pool f(1h);
  f.run_with({"a:1"});
  for (int n = 0; n < 6'000; ++n) {  // ten minutes, ten losses a second
    f.connector.last().lose();
    f.advance(100ms);
    if (f.under_way) f.find({"a:1"});
    f.connect_all();
  }
  CHECK(f.look_ups > 20);
  CHECK(f.look_ups < 30);

  SECTION("a look-up that finds another address ends the long pauses") {
    while (!f.under_way) {
      f.connector.last().lose();
      f.advance(100ms);
      f.connect_all();
    }
    f.find({"b:1"});
    f.connect_all();
    const auto before = f.look_ups;
    f.connector.last().lose();
    f.advance(1'100ms);
    CHECK(f.look_ups == before + 1);
  }
  SECTION("an interval without a loss ends them, too") {
    f.connect_all();
    while (!f.under_way) f.advance(1min);
    f.find({"a:1"});
    while (!f.under_way) f.advance(1min);
    f.find({"a:1"});
    const auto before = f.look_ups;
    f.connector.last().lose();
    f.advance(1'100ms);
    CHECK(f.look_ups == before + 1);
  }
}

TEST_CASE("a loss during a look-up begins another one", "[resolve]") {
  resolving_pool f(1h);
  f.run_with({"a:1"});
  f.advance(66min);
  REQUIRE(f.look_ups == 2);
  f.connector.last().lose();
  f.drain();
  f.find({"a:1"});
  f.advance(1'100ms);
  CHECK(f.look_ups == 3);
}

TEST_CASE("stop does not wait for a look-up", "[resolve]") {
  resolving_pool f(10s);
  f.run();
  f.wait("get", 1min);
  f.pool->stop();
  f.drain();
  CHECK(f.ended == conn_grpc::error_code());
  CHECK(f.answers() == resolving_pool::list{"get: stopped"});
  SECTION("whose end comes later") { f.find({"a:1"}); }
  SECTION("whose end comes when the pool is gone") {
    f.pool.reset();
    f.find({"a:1"});
  }
  SECTION("whose end comes when the context is gone") {
    f.io.reset();
    std::exchange(f.under_way, nullptr)({.addresses = {"a:1"}});
  }
  CHECK(f.connector.attempts() == 0);
}

TEST_CASE("stop ends the wait for the next look-up", "[resolve]") {
  resolving_pool f(10s);
  f.run_with({"a:1"});
  f.pool->stop();
  f.drain();
  CHECK(f.ended == conn_grpc::error_code());
  f.advance(1h);
  CHECK(f.look_ups == 1);
}

TEST_CASE("a look-up replaces addresses that the user has set", "[resolve]") {
  resolving_pool f(10s);
  f.run();
  SECTION("before the first look-up has ended") {}
  SECTION("after it") { f.find({"a:1"}); }
  f.pool->set_addresses({"u:1"});
  f.drain();
  f.connect_all();
  CHECK(f.channels() == resolving_pool::list{"pool/u:1/0"});
  if (!f.under_way) f.advance(11s);
  f.find({"a:1"});
  f.connect_all();
  CHECK(f.channels() == resolving_pool::list{"pool/a:1/0"});
}

TEST_CASE("a resolver may end its look-up inside the call", "[resolve]") {
  resolving_pool f(10s);
  f.options.resolve = [](const std::function<void(resolution)>& done) { done({.addresses = {"a:1"}}); };
  f.run();
  CHECK(f.channels() == resolving_pool::list{"pool/a:1/0"});
}

TEST_CASE("a waiter for more channels than the changed addresses have fails", "[resolve]") {
  resolving_pool f(10s);
  f.run();
  f.find({"a:1", "b:1"});
  f.wait_for_size("size 2", 2);
  f.pool->set_addresses({"a:1"});
  f.drain();
  CHECK(f.answers() == resolving_pool::list{"size 2: Invalid argument"});
}
