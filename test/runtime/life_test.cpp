// SPDX-License-Identifier: BSL-1.0
// The life of one channel, step by step.
#include <boost/system/system_error.hpp>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using trace = std::vector<std::string>;

TEST_CASE("nothing happens before async_run", "[life]") {
  pool_fixture f;
  f.make_pool();
  f.drain();
  CHECK(f.connector.attempts() == 0);
  CHECK(f.status().state == channel_state::not_started);
  CHECK(f.next().error() == errc::not_started);
  CHECK(f.happened().empty());
}

TEST_CASE("a channel is published before on_connect is called", "[life]") {
  pool_fixture f;
  f.options.on_connect = [&] { f.trace.push_back("on_connect sees " + f.next_text()); };
  f.run();
  CHECK(f.status().state == channel_state::connecting);
  CHECK(f.status().attempts == 1);
  CHECK(f.next().error() == errc::not_connected);

  f.advance(7ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened() == trace{"make_backoff 1000..30000", "reset", "on_connect sees channel of attempt 1"});
  const auto status = f.status();
  CHECK(status.state == channel_state::connected);
  CHECK(status.connected_since.value().time_since_epoch() == 7ms);
  CHECK(status.last_error.empty());
  CHECK(f.next_text() == "channel of attempt 1");
}

TEST_CASE("a failed attempt is released, and the backoff's delay follows", "[life]") {
  pool_fixture f;
  f.delays = {50ms, 200ms, 0ms, -5ms};
  f.run();
  (void)f.happened();

  f.advance(3ms);
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.connector.last().given_up);
  CHECK(f.happened() == trace{"next"});
  CHECK(f.status().state == channel_state::backing_off);
  CHECK(f.status().last_error == "Connection refused");
  CHECK(f.status().next_attempt.value().time_since_epoch() == 53ms);
  CHECK(f.next().error() == errc::not_connected);

  f.advance(50ms - 1ns);
  CHECK(f.connector.attempts() == 1);
  f.advance(1ns);
  CHECK(f.connector.attempts() == 2);
  CHECK(f.status().state == channel_state::connecting);
  CHECK_FALSE(f.status().next_attempt);

  f.connector.last().fail("Connection refused");
  f.drain();
  f.advance(200ms - 1ns);
  CHECK(f.connector.attempts() == 2);
  f.advance(1ns);
  CHECK(f.connector.attempts() == 3);

  // Zero and less: the next attempt begins at once, but not in the same handler.
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.connector.attempts() == 4);
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.connector.attempts() == 5);
  CHECK(f.happened() == trace{"next", "next", "next"});
}

TEST_CASE("the exception of a get says why there is no channel", "[life]") {
  pool_fixture f(2);
  f.make_pool();
  CHECK(f.text_of_get() == "conn_grpc pool pool: async_run has not been called, or has failed [conn_grpc:2]");
  f.run();
  CHECK(f.text_of_get() ==
        "conn_grpc pool pool: no attempt to connect has ended yet: no channel is connected [conn_grpc:1]");
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.text_of_get() == "conn_grpc pool pool: pool/1: Connection refused: no channel is connected [conn_grpc:1]");
  f.connector.attempt(0).succeed();
  f.drain();
  CHECK(f.text_of_get() == "channel of attempt 1");
  f.pool->stop();
  CHECK(f.text_of_get() == "conn_grpc pool pool: stopped [conn_grpc:3]");
}

TEST_CASE("a delay beyond the last time point never ends", "[life]") {
  pool_fixture f;
  f.delays = {std::chrono::milliseconds::max()};
  f.options.attempt_limit = std::chrono::milliseconds::max();
  f.run();
  f.advance(10'000h);
  CHECK(f.connector.attempts() == 1);
  f.connector.last().fail("Connection refused");
  f.drain();
  f.advance(10'000h);
  CHECK(f.connector.attempts() == 1);
  CHECK(f.status().state == channel_state::backing_off);
}

TEST_CASE("an attempt that does not end is abandoned", "[life]") {
  pool_fixture f;
  f.run();
  f.advance(5'000ms - 1ns);
  CHECK_FALSE(f.connector.last().given_up);
  f.advance(1ns);
  CHECK(f.connector.last().given_up);
  CHECK(f.status().last_error == "the attempt did not end, and was given up after 5000 ms");
  CHECK(f.status().state == channel_state::backing_off);
  // Later reports of the abandoned attempt have no effect.
  f.connector.attempt(0).succeed();
  f.drain();
  CHECK(f.status().state == channel_state::backing_off);
}

TEST_CASE("the next attempt follows a stable connection at once, and a short one after a delay", "[life]") {
  pool_fixture f;
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.advance(1'000ms);
  (void)f.happened();
  f.connector.last().lose();
  f.drain();
  CHECK(f.happened() == trace{"on_disconnect"});
  CHECK(f.connector.attempts() == 2);
  CHECK(f.connector.attempt(0).given_up);
  CHECK(f.status().state == channel_state::connecting);
  CHECK(f.status().last_error == "connection lost after 1000 ms: closed by the peer");
  CHECK(f.next().error() == errc::not_connected);

  f.connector.last().succeed();
  f.drain();
  f.advance(1'000ms - 1ns);
  f.connector.last().lose();
  f.drain();
  CHECK(f.happened() == trace{"reset", "on_connect", "on_disconnect", "next"});
  CHECK(f.connector.attempts() == 2);
  f.advance(100ms);
  CHECK(f.connector.attempts() == 3);
}

TEST_CASE("stable_after may be longer than any connection lives", "[life]") {
  pool_fixture f;
  f.options.stable_after = std::chrono::milliseconds::max();
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.advance(10'000h);
  (void)f.happened();
  f.connector.last().lose();
  f.drain();
  CHECK(f.happened() == trace{"on_disconnect", "next"});
}

TEST_CASE("on loss the channel is withdrawn before on_disconnect is called", "[life]") {
  pool_fixture f;
  f.options.on_disconnect = [&] { f.trace.push_back(f.next() ? "still there" : "withdrawn"); };
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.connector.last().lose();
  (void)f.happened();
  f.drain();
  CHECK(f.happened() == trace{"withdrawn", "next"});
}

TEST_CASE("the duration of a callback does not count for the connection", "[life]") {
  pool_fixture f;
  f.options.on_disconnect = [&] {
    CHECK(f.status().state == channel_state::backing_off);
    CHECK_FALSE(f.status().connected_since);
    CHECK(f.connector.last().given_up);
    manual_clock::advance(5s);
  };
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.connector.last().lose();
  f.drain();
  CHECK(f.status().state == channel_state::backing_off);
  CHECK(f.status().last_error == "connection lost after 0.0 ms: closed by the peer");
}

TEST_CASE("a connection that is lost before the strand notices it is a failed attempt", "[life]") {
  pool_fixture f;
  f.run();
  (void)f.happened();
  f.connector.last().succeed();
  f.connector.last().lose();
  f.drain();
  CHECK(f.happened() == trace{"next"});
  CHECK(f.status().last_error == "the connection was closed as soon as it was established");
}

// gRPC's thread may notice the loss at any time.
TEST_CASE("a connection lost before it is published is not published", "[life]") {
  class losing_backoff final : public conn_grpc::backoff {
   public:
    explicit losing_backoff(const stepped_connector& connector) : connector_(connector) {}
    std::chrono::milliseconds next() override { return 100ms; }
    void reset() override { connector_.last().lose(); }

   private:
    const stepped_connector& connector_;
  };
  pool_fixture f;
  f.options.make_backoff = [&](conn_grpc::backoff_range) { return std::make_unique<losing_backoff>(f.connector); };
  f.options.on_connect = [&] { f.trace.push_back("on_connect sees " + f.next_text()); };
  f.run();
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened().empty());
  CHECK(f.status().last_error == "the connection was closed as soon as it was established");
}

TEST_CASE("each transition is one line, at debug level, and only with debug", "[life]") {
  pool_fixture f;
  f.options.debug = GENERATE(true, false);
  f.run();
  f.advance(2ms);
  f.connector.last().fail("Connection refused");
  f.drain();
  f.advance(100ms);
  f.advance(1500us);
  f.connector.last().succeed();
  f.drain();
  f.advance(30ms);
  f.connector.last().lose();
  f.drain();
  f.advance(100ms);
  f.connector.last().succeed();
  f.drain();
  f.advance(2s);
  f.connector.last().lose();
  f.drain();
  f.connector.last().succeed();
  f.drain();
  f.advance(1s);
  f.pool->stop();
  f.drain();
  const std::string label = "conn_grpc pool=pool channel=pool/0 address=host:1: ";
  std::string expected;
  for (const char* line : {
           "not_started -> connecting, attempt 1",
           "connecting -> backing_off, attempt 1 failed after 2.0 ms: Connection refused; next attempt in 100 ms",
           "backing_off -> connecting, attempt 2",
           "connecting -> connected, attempt 2 took 1.5 ms",
           "connected -> backing_off, connection lost after 30 ms: closed by the peer; next attempt in 100 ms",
           "backing_off -> connecting, attempt 3",
           "connecting -> connected, attempt 3 took 0.0 ms",
           "connected -> connecting, connection lost after 2000 ms: closed by the peer; attempt 4",
           "connecting -> connected, attempt 4 took 0.0 ms",
           "connected -> stopped, released after 1000 ms",
       })
    expected += label + line + "\n";
  CHECK(f.lines() == (f.options.debug ? expected : ""));
}

TEST_CASE("the same steps give the same trace, every time", "[life]") {
  std::optional<trace> first;
  for (int round = 0; round < 100; ++round) {
    pool_fixture f(3);
    f.delays = {30ms, 10ms, 20ms};
    f.run();
    for (std::size_t a = 0; a < 3; ++a) f.connector.attempt(a).fail("no");
    f.drain();
    for (int step = 0; step < 4; ++step) {
      f.advance(10ms);
      f.trace.push_back(std::to_string(f.connector.attempts()));
    }
    f.connector.attempt(4).succeed();
    f.connector.attempt(3).succeed();
    f.drain();
    f.trace.push_back(f.next_text());
    f.pool->stop();
    f.drain();
    if (!first) first = f.trace;
    REQUIRE(f.trace == *first);
  }
}
