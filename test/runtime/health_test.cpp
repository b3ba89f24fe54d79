// SPDX-License-Identifier: BSL-1.0
// A connection whose server says that it does not serve.
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/served_pool.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using trace = std::vector<std::string>;

namespace {

const std::string not_serving = "not serving (health service \"\")";

struct health_pool : served_pool {
  explicit health_pool(std::size_t size = 1) : served_pool(size) { options.debug = true; }

  void connect() {
    served_pool::connect();
    (void)new_lines();
  }

  /// The log since the last call, without the beginning of each line.
  std::string new_lines() {
    std::string text;
    std::istringstream lines(log.take());
    for (std::string line; std::getline(lines, line);) text += line.substr(line.find(": ") + 2) + "\n";
    return text;
  }
};

}  // namespace

TEST_CASE("a connection that does not serve is withdrawn at once, and handed out again when it serves", "[health]") {
  health_pool f;
  f.connect();
  f.connector.last().stop_serving();
  CHECK(f.next().error() == errc::not_connected);  // before the strand runs
  f.drain();
  CHECK(f.next().error() == errc::not_connected);
  CHECK(f.status().state == channel_state::unhealthy);
  CHECK(to_string(f.status().state) == "unhealthy");
  CHECK(f.status().last_error == not_serving);
  CHECK(f.status().connected_since.value().time_since_epoch() == 0ms);
  CHECK(f.pool->status().current_size == 0);
  CHECK(f.pool->status().addresses.at(0).last_error == not_serving);
  CHECK(f.new_lines() == "connected -> unhealthy, " + not_serving + "\n");

  f.advance(1h);
  CHECK_FALSE(f.connector.last().given_up);
  f.connector.last().serve_again();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
  CHECK(f.status().connected_since.value().time_since_epoch() == 0ms);
  CHECK(f.new_lines() == "unhealthy -> connected, serving again\n");
  CHECK(f.connector.attempts() == 1);
  CHECK(f.happened().empty());
}

TEST_CASE("a connection that stops serving and serves again before the strand runs is handed out", "[health]") {
  health_pool f;
  f.connect();
  f.connector.last().stop_serving();
  f.connector.last().serve_again();
  CHECK(f.next().error() == errc::not_connected);
  f.drain();
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
}

TEST_CASE("the other channels serve while one is unhealthy", "[health]") {
  health_pool f(2);
  f.connect();
  f.connector.attempt(0).stop_serving();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
  CHECK(f.next_text() == "channel of attempt 2");
  CHECK(f.pool->status().current_size == 1);
  CHECK(f.status(0).state == channel_state::unhealthy);
  CHECK(f.status(1).state == channel_state::connected);
}

TEST_CASE("a waiter is completed when the connection serves", "[health]") {
  health_pool f;
  f.connect();
  f.connector.last().stop_serving();
  f.drain();
  conn_grpc::runtime::channel_ptr got;
  bool has_size = false;
  f.pool->wait_for_channel([&](const auto&, auto, conn_grpc::runtime::channel_ptr c) { got = std::move(c); }, *f.io,
                           1h);
  f.pool->wait_for_size([&](const auto&, conn_grpc::error_code failed) { has_size = !failed; }, *f.io, 1, 1h);
  f.drain();
  CHECK_FALSE(got);
  CHECK_FALSE(has_size);
  f.connector.last().serve_again();
  f.drain();
  REQUIRE(got);
  CHECK(object_of<std::string>(got) == "channel of attempt 1");
  CHECK(has_size);
}

TEST_CASE("a first connection that does not serve is connected, and not handed out", "[health]") {
  health_pool f;
  bool was_handed_out = false;
  f.options.telemetry->attach("get", event::channel_connected,
                              [&](const auto&) { was_handed_out = f.next().has_value(); });
  f.run();
  f.connector.last().not_serving = not_serving;
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened() == trace{"make_backoff 1000..30000", "reset", "channel_connected", "on_connect"});
  CHECK_FALSE(was_handed_out);
  CHECK(f.status().state == channel_state::unhealthy);
  CHECK(f.status().last_error == not_serving);
  CHECK(f.next().error() == errc::not_connected);
  CHECK_THROWS_WITH(f.pool->pick_or_throw<conn_grpc::runtime::if_none::fail>(),
                    "conn_grpc pool pool: pool/0: " + not_serving + ": no channel is connected [conn_grpc:1]");
  f.connector.last().serve_again();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.happened().empty());
}

TEST_CASE("an unhealthy connection that is lost is followed by the next attempt", "[health]") {
  health_pool f;
  f.connect();
  f.advance(1'000ms);
  f.connector.last().stop_serving();
  f.drain();
  (void)f.new_lines();
  SECTION("it is lost") { f.connector.last().lose(); }
  SECTION("its end was announced: there is no gap to fill") { f.connector.last().announce_end(); }
  f.drain();
  CHECK(f.connector.attempts() == 2);
  CHECK_FALSE(f.connector.last().reuses);
  CHECK(f.happened().front() == "on_disconnect");
  CHECK(f.status().state == channel_state::connecting);
  CHECK(f.next().error() == errc::not_connected);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
  CHECK(f.status().state == channel_state::connected);
}

TEST_CASE("stop ends an unhealthy connection", "[health]") {
  health_pool f;
  f.connect();
  f.connector.last().stop_serving();
  f.drain();
  f.pool->stop();
  f.connector.last().serve_again();
  f.drain();
  CHECK(f.ended == conn_grpc::error_code());
  CHECK(f.connector.last().given_up);
  CHECK(f.next().error() == errc::stopped);
  CHECK(f.status().state == channel_state::stopped);
  CHECK(f.happened() == trace{"on_disconnect", "channel_disconnected: stopped"});
}

TEST_CASE("an unhealthy connection is replaced", "[health]") {
  const bool serves = GENERATE(true, false);
  health_pool f;
  f.options.max_connection_age = 1h;
  f.connect();
  const auto channel = f.next().value();
  f.connector.last().stop_serving();
  f.drain();
  std::string why;
  SECTION("by refresh") {
    f.refresh();
    why = "refresh";
  }
  SECTION("when it is suspect") {
    f.pool->suspect(channel, "no answer");
    f.drain();
    why = "no answer";
  }
  SECTION("at its maximum age") {
    f.advance(2h);
    why = "max_connection_age";
  }
  REQUIRE(f.connector.attempts() == 2);
  CHECK(f.status().state == channel_state::unhealthy);
  CHECK(f.next().error() == errc::not_connected);
  if (!serves) f.connector.last().not_serving = not_serving;
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened() ==
        trace{"reset", "channel_connected", "on_connect", "on_disconnect", "channel_disconnected: replaced: " + why});
  CHECK(f.connector.attempt(0).given_up);
  CHECK(f.status().state == (serves ? channel_state::connected : channel_state::unhealthy));
  CHECK(f.next().has_value() == serves);
  f.connector.last().serve_again();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
}

TEST_CASE("a connection that serves is not replaced by one that does not", "[health]") {
  health_pool f;
  f.delays = {50ms};
  f.connect();
  f.refresh();
  f.connector.last().not_serving = not_serving;
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened() == trace{"channel_connection_failed: " + not_serving, "next"});
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
  CHECK(f.connector.last().given_up);
  f.advance(50ms);
  REQUIRE(f.connector.attempts() == 3);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 3");
}

TEST_CASE("health changes while a replacement connects", "[health]") {
  health_pool f;
  f.connect();
  f.refresh();
  f.connector.attempt(0).stop_serving();
  f.drain();
  CHECK(f.status().state == channel_state::unhealthy);
  f.connector.attempt(0).serve_again();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK(f.status().state == channel_state::connected);
  CHECK(f.connector.attempts() == 2);
}

TEST_CASE("channels to an old address stay until one to a new address serves", "[health]") {
  health_pool f;
  f.connect();
  f.pool->set_addresses({"host:2"});
  f.drain();
  REQUIRE(f.connector.attempts() == 2);
  f.connector.last().not_serving = not_serving;
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 1");
  CHECK_FALSE(f.connector.attempt(0).given_up);
  f.connector.last().serve_again();
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
  CHECK(f.connector.attempt(0).given_up);
}
