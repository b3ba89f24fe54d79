// SPDX-License-Identifier: BSL-1.0
// A pool that waits for its RPCs before it stops.
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

/// A pool with a connected channel and two RPCs in flight.
struct busy_pool : pool_fixture {
  busy_pool() {
    run();
    connector.last().succeed();
    drain();
    connector.calls = 2;
  }
  void begin(std::chrono::milliseconds timeout) {
    pool->async_drain([this](error_code ec) { drained = ec; }, timeout);
    drain();
  }

  std::optional<error_code> drained;
};

}  // namespace

TEST_CASE("a draining pool hands out nothing, and stops when its RPCs have ended", "[drain]") {
  busy_pool f;
  f.begin(10s);
  CHECK(f.next().error() == errc::stopped);
  CHECK(f.status().state == channel_state::draining);
  CHECK(f.pool->status().current_size == 1);
  f.advance(5s);
  CHECK_FALSE(f.drained);
  CHECK_FALSE(f.connector.last().given_up);

  f.connector.calls = 0;
  f.advance(5ms);
  CHECK(f.drained == error_code());
  CHECK(f.ended == error_code());
  CHECK(f.connector.last().given_up);
  CHECK(f.status().state == channel_state::stopped);
}

TEST_CASE("a channel is draining until it has stopped, also when the drain is over", "[drain]") {
  busy_pool f;
  f.connector.calls = 0;
  std::vector<channel_state> seen;
  f.pool->async_drain([&](error_code) { seen.push_back(f.status().state); }, 10s);
  while (f.io->poll_one() > 0) seen.push_back(f.status().state);
  CHECK(std::ranges::find(seen, channel_state::connected) == seen.end());
  CHECK(seen.back() == channel_state::stopped);
}

TEST_CASE("a draining pool stops when the time is over", "[drain]") {
  busy_pool f;
  f.begin(10s);
  f.advance(10s - 1ns);
  CHECK_FALSE(f.drained);
  CHECK(f.lines().empty());
  f.advance(1ns);
  CHECK(f.lines() == "conn_grpc pool pool: the time of drain is over; RPCs in flight: 2, leases: 0\n");
  CHECK(f.drained == error_code());
  CHECK(f.ended == error_code());
}

TEST_CASE("a drain without time, and a pool without RPCs, stop at once", "[drain]") {
  busy_pool f;
  SECTION("no time") { f.begin(0ms); }
  SECTION("no RPCs") {
    f.connector.calls = 0;
    f.begin(10s);
  }
  CHECK(f.drained == error_code());
  CHECK(f.ended == error_code());
}

TEST_CASE("stop, cancellation and destruction end a drain", "[drain]") {
  busy_pool f;
  boost::asio::cancellation_signal signal;
  f.pool->async_drain(boost::asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { f.drained = ec; }), 1h);
  f.io->restart();
  f.io->poll();
  SECTION("stop") { f.pool->stop(); }
  SECTION("cancellation") { signal.emit(boost::asio::cancellation_type::terminal); }
  f.advance(5ms);
  CHECK(f.drained == error_code());
  CHECK(f.ended == error_code());
}

TEST_CASE("two drains end together", "[drain]") {
  busy_pool f;
  int ended = 0;
  f.begin(10s);
  f.pool->async_drain([&](error_code) { ++ended; }, 1h);
  f.advance(10s);
  CHECK(f.drained == error_code());
  f.advance(5ms);
  CHECK(ended == 1);
}

TEST_CASE("a pool that does not run is drained at once, and stays stopped", "[drain]") {
  pool_fixture f;
  f.make_pool();
  std::optional<error_code> drained;
  f.pool->async_drain([&](error_code ec) { drained = ec; }, 1h);
  CHECK(drained == error_code());
  CHECK(f.next().error() == errc::stopped);
  f.pool->async_drain([&](error_code) { drained.reset(); }, 1h);
  CHECK_FALSE(drained);
}

TEST_CASE("a drain is dropped with its context", "[drain]") {
  busy_pool f;
  f.begin(1h);
  f.io.reset();
  CHECK_FALSE(f.drained);
}
