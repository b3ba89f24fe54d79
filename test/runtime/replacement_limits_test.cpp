// SPDX-License-Identifier: BSL-1.0
// Replacements that meet limits: the time for which a lost connection may serve, permits,
// the backoff, stop, and changes of the addresses.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/telemetry.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/waiting_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using conn_grpc::event;
using conn_grpc::runtime::connection_state;

namespace {

struct limited_pool : waiting_fixture {
  explicit limited_pool(std::size_t size = 1) : waiting_fixture(size) {
    options.telemetry->attach("up", event::channel_disconnected,
                              [this](const conn_grpc::telemetry_event& e) { up = e.duration; });
  }

  void connect() {
    run();
    for (std::size_t i = 0; i < options.pool_size; ++i) {
      connector.attempt(i).succeed();
      drain();
    }
  }
  void suspect() {
    pool->suspect(next().value(), "no answer");
    drain();
  }
  void set_addresses(const std::vector<std::string>& to) {
    pool->set_addresses(to);
    drain();
  }
  void prime_for(std::chrono::milliseconds delay) {
    options.prime = std::make_shared<const conn_grpc::runtime::prime_function>(
        [this, delay](conn_grpc::runtime::channel_ptr) -> boost::asio::awaitable<void> {
          boost::asio::basic_waitable_timer<manual_clock> timer(co_await boost::asio::this_coro::executor, delay);
          const auto [failed] = co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
          trace.emplace_back(failed ? "cancelled" : "primed");
          if (failed) throw boost::system::system_error(failed);
        });
  }
  [[nodiscard]] bool has(const std::string& what) const { return std::ranges::find(trace, what) != trace.end(); }
  [[nodiscard]] std::size_t connecting() const {
    std::size_t n = 0;
    for (std::size_t i = 0; i < connector.attempts(); ++i) {
      const auto& at = connector.attempt(i);
      n += !at.given_up && at.state == connection_state::connecting ? 1 : 0;
    }
    return n;
  }

  std::chrono::nanoseconds up{};
};

}  // namespace

TEST_CASE("an attempt goes on to be primed when the lost connection may not serve any more", "[replacement]") {
  limited_pool f;
  f.prime_for(1'500ms);
  f.connect();
  f.advance(1'500ms);
  REQUIRE(f.next());
  f.advance(1'000ms);
  f.connector.last().announce_end();
  f.drain();
  f.connector.last().succeed();
  f.drain();
  f.trace.clear();
  f.advance(1'000ms);
  CHECK(f.next().error() == errc::not_connected);
  CHECK_FALSE(f.has("cancelled"));
  f.advance(500ms);
  CHECK(f.next());
}

TEST_CASE("an attempt that goes on keeps its permit", "[replacement]") {
  limited_pool f(3);
  f.options.max_connecting = 1;
  f.delays = {1h};
  f.connect();
  f.advance(1'000ms);
  f.connector.attempt(1).lose();
  f.connector.attempt(2).lose();
  f.connector.attempt(0).announce_end();
  f.drain();
  CHECK(f.connecting() == 1);
  f.advance(1'000ms);
  CHECK(f.connecting() == 1);
}

TEST_CASE("a channel that gives up its place in the queue for permits lets the next one in", "[replacement]") {
  limited_pool f(3);
  f.options.max_connecting = 1;
  f.delays = {1h, 1h, 1h};
  f.run();
  f.connector.attempt(0).succeed();
  f.drain();
  REQUIRE(f.connector.attempts() == 2);  // the second channel has the permit, the third one waits for it
  f.connector.attempt(1).succeed();
  f.drain();
  f.advance(1'000ms);
  f.refresh();  // the first two channels wait behind the third one
  f.connector.attempt(2).fail("no");
  f.connector.attempt(0).lose({.reason = "reset", .kind = conn_grpc::runtime::loss_kind::broken});
  f.drain();
  CHECK(f.connecting() == 1);
}

TEST_CASE("prime of an attempt that goes on is cancelled at stop, and when user code throws", "[replacement]") {
  limited_pool f;
  f.prime_for(1'000ms);
  SECTION("stop") {
    f.options.on_disconnect = [&] { f.pool->stop(); };
  }
  SECTION("an exception") {
    f.options.on_disconnect = [] { throw 1; };
  }
  f.connect();
  f.advance(1'000ms);
  REQUIRE(f.next());
  f.refresh();
  f.connector.last().succeed();
  f.drain();
  f.connector.attempt(0).lose();
  f.drain();
  CHECK(f.has("cancelled"));
}

TEST_CASE("the time up does not count the time for which the lost connection served on", "[replacement]") {
  limited_pool f;
  f.connect();
  f.advance(1'500ms);
  f.connector.last().announce_end();
  f.drain();
  f.advance(900ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.up == 1'500ms);
}

TEST_CASE("a channel whose connection is lost without a permit connects again with it", "[replacement]") {
  limited_pool f(2);
  f.options.max_connecting = 1;
  f.run();
  f.connector.attempt(0).succeed();
  f.drain();
  f.advance(100ms);
  f.connector.attempt(0).announce_end();
  f.drain();
  f.advance(1'000ms);
  CHECK(f.next().error() == errc::not_connected);
  f.delays = {1h, 100ms};
  f.connector.attempt(1).fail("no");
  f.drain();
  f.advance(1h);
  REQUIRE(f.connector.attempts() >= 3);
  bool reuses = false;
  for (std::size_t i = 2; i < f.connector.attempts(); ++i) reuses = reuses || f.connector.attempt(i).reuses;
  CHECK(reuses);
}

TEST_CASE("refresh does not shorten the backoff of a failed replacement, or a suspicion", "[replacement]") {
  limited_pool f;
  f.delays = {1h, 1h, 1h, 1h};
  f.connect();
  SECTION("the backoff") {
    f.refresh();
    for (int i = 0; i < 10; ++i) {
      if (f.connector.last().state == connection_state::connecting) f.connector.last().fail("Connection refused");
      f.drain();
      f.refresh();
    }
    CHECK(f.connector.attempts() == 2);
    f.advance(1h);
    CHECK(f.connector.attempts() == 3);
  }
  SECTION("a suspicion") {
    f.pool->suspect(f.next().value(), "no answer");
    f.refresh();
    f.connector.last().fail("no SETTINGS");
    f.drain();
    CHECK(f.next().error() == errc::not_connected);
  }
}

TEST_CASE("a server whose connections are all suspect cannot cause a hot loop", "[replacement]") {
  limited_pool f;
  f.connect();
  for (int i = 0; i < 10; ++i) {
    f.suspect();
    if (f.connector.last().state == connection_state::connecting) f.connector.last().succeed();
    f.drain();
  }
  CHECK(f.connector.attempts() <= 3);
  f.advance(500ms);
  CHECK(f.connector.attempts() <= 4);
}

TEST_CASE("the policy decides about the attempt after that of a suspect connection", "[replacement]") {
  limited_pool f;
  f.delays = {1h};
  f.connect();
  f.advance(1'000ms);
  f.trace.clear();
  f.suspect();
  f.connector.last().fail("no SETTINGS");
  f.drain();
  CHECK(f.connector.attempts() == 2);
  CHECK(f.has("next"));
}

TEST_CASE("a suspect connection serves for a second at most", "[replacement]") {
  limited_pool f;
  f.connect();
  f.suspect();
  f.advance(1'000ms - 1ns);
  CHECK(f.next());
  f.advance(1ns);
  CHECK(f.next().error() == errc::not_connected);
  CHECK(f.status().state == channel_state::connecting);
  CHECK(f.status().last_error == "connection lost after 1000 ms: suspect: no answer");
  CHECK(f.connector.attempts() == 2);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
}

TEST_CASE("a very long maximum age is none", "[replacement]") {
  limited_pool f;
  f.options.max_connection_age = (std::chrono::milliseconds::max)();
  f.connect();
  f.advance(std::chrono::hours(24 * 365));
  CHECK(f.connector.attempts() == 1);
}

TEST_CASE("a changed list replaces a change that is not over", "[addresses]") {
  limited_pool f;
  f.options.addresses = {"a:1"};
  f.connect();
  f.set_addresses({"b:1"});
  SECTION("none") {
    f.set_addresses({});
    CHECK(f.next().error() == errc::not_connected);
  }
  SECTION("another") {
    f.set_addresses({"c:1"});
    REQUIRE(f.connector.attempts() == 3);
    CHECK(f.connector.attempt(1).given_up);
    CHECK(f.next_text() == "channel of attempt 1");
    f.connector.last().succeed();
    f.drain();
    CHECK(f.next_text() == "channel of attempt 3");
  }
  f.advance(1h);
  CHECK(f.pool->status().channels.size() == f.pool->status().expected_size);
}

TEST_CASE("a removed address that does not serve is removed at once", "[addresses]") {
  limited_pool f;
  f.options.addresses = {"a:1", "b:1"};
  f.delays = {1h, 1h, 1h};
  f.run();
  f.connector.attempt(0).succeed();
  f.connector.attempt(1).fail("no");
  f.drain();
  f.set_addresses({"b:1", "c:1"});
  f.set_addresses({"b:1"});
  CHECK(f.pool->status().channels.size() == 1);
  CHECK(f.connector.attempt(0).given_up);
}

TEST_CASE("waiters are answered when the pool shrinks", "[addresses]") {
  limited_pool f;
  f.options.addresses = {"a:1", "b:1"};
  f.run();
  SECTION("to nothing") {
    f.wait("get", 1h);
    f.wait_for_size("size", 2);
    f.drain();
    f.set_addresses({});
    CHECK(f.answers().empty());  // addresses may come
    f.advance(1h);
    CHECK(f.answers().size() == 1);
  }
  SECTION("below what a waiter needs") {
    f.wait_for_size("size", 2);
    f.drain();
    f.set_addresses({"a:1"});
    CHECK(f.answers().size() == 1);
  }
}

TEST_CASE("addresses that are set after stop of a pool that never ran change nothing", "[addresses]") {
  limited_pool f;
  f.options.addresses = {"a:1"};
  f.make_pool();
  f.pool->stop();
  f.set_addresses({"b:1", "c:1"});
  CHECK(f.pool->status().channels.size() == 1);
}
