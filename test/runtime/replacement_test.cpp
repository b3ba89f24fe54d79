// SPDX-License-Identifier: BSL-1.0
// A connection that is replaced while it serves.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/served_pool.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using trace = std::vector<std::string>;

TEST_CASE("a refreshed connection is withdrawn when the new one is handed out", "[replacement]") {
  served_pool f;
  f.connect();
  f.refresh();
  REQUIRE(f.connector.attempts() == 2);
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
  CHECK(f.status().attempts == 2);
  CHECK_FALSE(f.connector.attempt(0).given_up);
  CHECK(f.happened().empty());

  f.advance(3ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
  CHECK(f.connector.attempt(0).given_up);
  CHECK(f.status().connected_since.value().time_since_epoch() == 3ms);
  CHECK(f.status().last_error.empty());
  CHECK(f.happened() ==
        trace{"reset", "channel_connected", "on_connect", "on_disconnect", "channel_disconnected: replaced: refresh"});
}

TEST_CASE("a failed replacement leaves the connection, and the policy decides about the next attempt",
          "[replacement]") {
  served_pool f;
  f.delays = {50ms, 70ms};
  f.connect();
  f.refresh();
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.happened() == trace{"channel_connection_failed: Connection refused", "next"});
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
  CHECK(f.status().last_error == "Connection refused");
  CHECK(f.status().next_attempt.value().time_since_epoch() == 50ms);
  f.advance(50ms - 1ns);
  CHECK(f.connector.attempts() == 2);
  f.advance(1ns);
  REQUIRE(f.connector.attempts() == 3);
  CHECK_FALSE(f.status().next_attempt);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 3");
}

TEST_CASE("a connection is replaced at its maximum age, plus or minus a tenth", "[replacement]") {
  served_pool f;
  f.options.max_connection_age = 1'000ms;
  f.connect();
  f.advance(900ms - 1ns);
  CHECK(f.connector.attempts() == 1);
  f.advance(200ms + 1ns);
  REQUIRE(f.connector.attempts() == 2);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened().back() == "channel_disconnected: replaced: max_connection_age");
  f.advance(900ms - 1ns);
  CHECK(f.connector.attempts() == 2);
  f.advance(200ms + 1ns);
  CHECK(f.connector.attempts() == 3);
}

TEST_CASE("without a maximum age a connection serves for ever", "[replacement]") {
  served_pool f;
  f.connect();
  f.advance(std::chrono::hours(24 * 365));
  CHECK(f.connector.attempts() == 1);
}

TEST_CASE("the attempt to replace a connection goes on when the connection is lost", "[replacement]") {
  served_pool f;
  f.connect();
  f.refresh();
  f.connector.attempt(0).lose({.reason = "Socket closed", .kind = conn_grpc::runtime::loss_kind::broken});
  f.drain();
  CHECK(f.next().error() == errc::not_connected);
  CHECK(f.status().state == channel_state::connecting);
  CHECK(f.connector.attempts() == 2);
  CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: Socket closed"});
  f.connector.last().succeed();
  f.drain();
  CHECK(f.connector.attempts() == 2);
  CHECK(f.status().attempts == 2);
  CHECK(f.happened() == trace{"reset", "channel_connected", "on_connect"});
}

TEST_CASE("the replacement of a lost connection that fails is followed by the backoff", "[replacement]") {
  served_pool f;
  f.connect();
  f.refresh();
  f.connector.attempt(0).lose();
  f.drain();
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: closed by the peer",
                              "channel_connection_failed: Connection refused", "next"});
  CHECK(f.status().state == channel_state::backing_off);
}

TEST_CASE("a suspect connection is replaced", "[replacement]") {
  served_pool f(2);
  f.connect();
  const auto suspected = f.next().value();
  f.pool->suspect(suspected, "no answer");
  f.drain();
  REQUIRE(f.connector.attempts() == 3);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened().back() == "channel_disconnected: replaced: no answer");
  CHECK(f.next_text() != object_of<std::string>(suspected));
  CHECK(f.next_text() != object_of<std::string>(suspected));
}

TEST_CASE("a suspect connection whose replacement fails counts as lost", "[replacement]") {
  served_pool f;
  f.connect();
  f.pool->suspect(f.next().value(), "no answer");
  f.drain();
  f.connector.last().fail("no SETTINGS");
  f.drain();
  CHECK(f.happened() == trace{"channel_connection_failed: no SETTINGS", "on_disconnect",
                              "channel_disconnected: suspect: no answer", "next"});
  CHECK(f.next().error() == errc::not_connected);
  CHECK(f.status().state == channel_state::backing_off);
}

TEST_CASE("a channel that is not handed out any more cannot be suspect", "[replacement]") {
  served_pool f;
  f.connect();
  const auto old = f.next().value();
  f.refresh();
  f.connector.last().succeed();
  f.drain();
  f.pool->suspect(old, "no answer");
  f.pool->suspect(nullptr, "no channel");
  f.drain();
  CHECK(f.connector.attempts() == 2);
}

TEST_CASE("a connection that the server announces to close serves until it is replaced", "[replacement]") {
  served_pool f;
  f.connect();
  f.advance(1'000ms);
  f.connector.last().announce_end();
  f.drain();
  REQUIRE(f.connector.attempts() == 2);
  CHECK(f.connector.last().reuses);
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.connector.attempt(0).given_up);
  CHECK_FALSE(f.connector.attempt(1).given_up);
  CHECK(f.happened() == trace{"reset", "channel_connected", "on_connect", "on_disconnect",
                              "channel_disconnected: closed by the peer, no RPC in flight"});
  CHECK(f.status().last_error == "connection lost after 1000 ms: closed by the peer, no RPC in flight");
}

TEST_CASE("a connection that the server announces to close is withdrawn at once when another one serves",
          "[replacement]") {
  served_pool f(2);
  f.connect();
  f.advance(1'000ms);
  f.connector.attempt(0).announce_end();
  CHECK(f.next_text() == "channel of attempt 2");
  CHECK(f.next_text() == "channel of attempt 2");
  f.connector.attempt(1).announce_end();  // nothing else serves
  CHECK(f.next_text() == "channel of attempt 2");

  f.drain();
  REQUIRE(f.connector.attempts() == 4);
  CHECK(f.next_text() == "channel of attempt 2");
  f.connector.attempt(2).succeed();
  f.connector.attempt(3).succeed();
  f.drain();
  CHECK(f.next_text() != f.next_text());
}

TEST_CASE("an announced end is a loss when another connection serves", "[replacement]") {
  served_pool f(2);
  f.connect();
  f.advance(1'000ms);
  f.connector.attempt(0).announce_end();
  f.drain();
  CHECK(f.status(0).state == channel_state::connecting);
  CHECK(f.pool->status().current_size == 1);
  CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: closed by the peer, no RPC in flight"});
}

TEST_CASE("an announced end that turns out to be a crash withdraws the channel", "[replacement]") {
  served_pool f;
  f.connect();
  f.connector.last().announce_end();
  f.drain();
  CHECK(f.next());
  f.connector.attempt(0).lose({.reason = "Socket closed", .kind = conn_grpc::runtime::loss_kind::broken});
  CHECK(f.next().error() == errc::not_connected);
  f.drain();
  CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: Socket closed"});
  CHECK(f.status().state == channel_state::connecting);
}

TEST_CASE("an announced end withdraws the channel when the next attempt fails, or takes more than a second",
          "[replacement]") {
  served_pool f;
  f.connect();
  f.advance(1'000ms);
  f.connector.last().announce_end();
  f.drain();
  SECTION("it fails") {
    f.connector.last().fail("Connection refused");
    f.drain();
    CHECK(f.status().state == channel_state::backing_off);
    CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: closed by the peer, no RPC in flight",
                                "channel_connection_failed: Connection refused", "next"});
  }
  SECTION("it takes long") {
    f.advance(1'000ms - 1ns);
    CHECK(f.next());
    f.advance(1ns);
    CHECK(f.status().state == channel_state::connecting);
    CHECK(f.connector.attempts() == 2);
  }
  CHECK(f.next().error() == errc::not_connected);
}

TEST_CASE("a server that announces the end of each connection cannot make a hot loop", "[replacement]") {
  served_pool f;
  f.connect();
  for (int i = 0; i < 2; ++i) {
    f.connector.last().announce_end();
    f.drain();
    if (f.connector.attempts() == 2) f.connector.last().succeed();
    f.drain();
  }
  CHECK(f.connector.attempts() == 2);
  CHECK(f.status().state == channel_state::backing_off);
  CHECK(f.next().error() == errc::not_connected);
}

TEST_CASE("stop ends a replacement", "[replacement]") {
  served_pool f;
  f.connect();
  f.refresh();
  f.pool->stop();
  f.drain();
  CHECK(f.ended == conn_grpc::error_code());
  CHECK(f.connector.attempt(0).given_up);
  CHECK(f.connector.attempt(1).given_up);
  CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: stopped"});
}

TEST_CASE("user code that throws while a connection is replaced restarts the channel", "[replacement]") {
  served_pool f;
  f.connect();
  SECTION("create_channel") {
    f.connector.throw_next();
    f.refresh();
    CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: create_channel threw: create_channel threw",
                                "make_backoff 1000..30000"});
  }
  SECTION("on_connect") {
    f.refresh();
    f.options.on_connect = {};
    f.connector.last().succeed();
  }
  f.drain();
  CHECK(f.connector.attempts() == 2);
  CHECK_FALSE(f.ended);
}

TEST_CASE("at most max_connecting attempts are under way, the first come first", "[replacement]") {
  served_pool f(3);
  f.options.max_connecting = 1;
  f.run();
  CHECK(f.connector.attempts() == 1);
  CHECK(f.status(1).state == channel_state::not_started);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.connector.attempts() == 2);
  f.connector.last().fail("no");
  f.drain();
  CHECK(f.connector.attempts() == 3);
  CHECK(f.status(2).state == channel_state::connecting);
  f.pool->stop();
  f.drain();
  CHECK(f.ended == conn_grpc::error_code());
}

TEST_CASE("a connection ends the backoffs that followed failed attempts to the same address", "[replacement]") {
  served_pool f(3);
  f.delays = {1h, 1h, 1h};
  f.run();
  for (std::size_t i = 0; i < 3; ++i) f.connector.attempt(i).fail("Connection refused");
  f.drain();
  CHECK(f.connector.attempts() == 3);
  f.delays = {10ms};
  f.pool->refresh();  // nothing is connected, so this changes nothing
  f.drain();
  CHECK(f.connector.attempts() == 3);
  f.advance(1h);
  REQUIRE(f.connector.attempts() == 6);
  f.connector.attempt(3).fail("Connection refused");
  f.delays = {1h};
  f.drain();
  f.connector.attempt(4).succeed();
  f.drain();
  CHECK(f.connector.attempts() == 7);
}

namespace {

/// Sets a `prime` that waits for this time and then throws, unless the text is empty.
void prime_for(served_pool& f, std::chrono::milliseconds delay, std::string text = {}) {
  f.options.prime = std::make_shared<const conn_grpc::runtime::prime_function>(
      [&f, delay, text](conn_grpc::runtime::channel_ptr channel) -> boost::asio::awaitable<void> {
        f.trace.push_back("prime " + object_of<std::string>(channel));
        boost::asio::basic_waitable_timer<manual_clock> timer(co_await boost::asio::this_coro::executor, delay);
        const auto [failed] = co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        f.trace.push_back(failed ? "cancelled" : "primed");
        if (!text.empty()) throw std::runtime_error(text);
      });
}

}  // namespace

TEST_CASE("a connection is primed before it is handed out", "[replacement]") {
  served_pool f;
  prime_for(f, 5ms);
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.advance(5ms - 1ns);
  CHECK(f.next().error() == errc::not_connected);
  CHECK(f.status().state == channel_state::connecting);
  f.advance(1ns);
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.happened() == trace{"make_backoff 1000..30000", "prime channel of attempt 1", "primed", "reset",
                              "channel_connected", "on_connect"});

  f.refresh();
  f.connector.last().succeed();
  f.drain();
  f.advance(5ms - 1ns);
  CHECK(f.next_text() == "channel of attempt 1");
  f.advance(1ns);
  CHECK(f.next_text() == "channel of attempt 2");
}

TEST_CASE("what prime throws fails the attempt", "[replacement]") {
  served_pool f;
  prime_for(f, 5ms, "no data");
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.advance(5ms);
  CHECK(f.status().last_error == "prime: no data");
  CHECK(f.status().state == channel_state::backing_off);
  CHECK(f.connector.last().given_up);
  CHECK(f.happened().back() == "next");
}

TEST_CASE("prime is cancelled when its connection is lost, at stop, and when the attempt takes too long",
          "[replacement]") {
  served_pool f;
  prime_for(f, 1h);
  f.run();
  f.connector.last().succeed();
  f.drain();
  SECTION("lost") {
    f.connector.last().lose();
    f.drain();
    CHECK(f.status().state == channel_state::backing_off);
  }
  SECTION("stop") {
    f.pool->stop();
    f.drain();
    CHECK(f.ended == conn_grpc::error_code());
  }
  SECTION("too long") {
    f.advance(f.options.attempt_limit);
    CHECK(f.status().last_error == "connected, but prime has not ended (given up after 5000 ms)");
  }
  CHECK(std::ranges::find(f.trace, "cancelled") != f.trace.end());
}

TEST_CASE("a pool may be destroyed while prime is awaited", "[replacement]") {
  served_pool f;
  prime_for(f, 1h);
  f.run();
  f.connector.last().succeed();
  f.drain();
  SECTION("the context goes first") { f.io.reset(); }
  f.pool.reset();
}
