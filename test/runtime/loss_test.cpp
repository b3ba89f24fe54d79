// SPDX-License-Identifier: BSL-1.0
// What follows the loss of a connection: the channel is withdrawn on the thread that
// notices the loss, and the reason decides when the next attempt begins.
#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using trace = std::vector<std::string>;

namespace {

using conn_grpc::runtime::loss_kind;

const conn_grpc::runtime::connection_loss orderly{"announced", loss_kind::orderly};
const conn_grpc::runtime::connection_loss unknown{"closed by the peer", loss_kind::unknown};
const conn_grpc::runtime::connection_loss broken{"Connection reset by peer", loss_kind::broken};

void connect(pool_fixture& f) {
  f.connector.last().succeed();
  f.drain();
}

}  // namespace

TEST_CASE("a lost channel is withdrawn before the strand runs", "[loss]") {
  pool_fixture f;
  f.run();
  connect(f);
  REQUIRE(f.next());
  f.connector.last().lose();
  CHECK(f.next().error() == errc::not_connected);
  CHECK(f.status().state == channel_state::connected);  // until the strand runs
  f.drain();
  CHECK(f.status().state == channel_state::backing_off);
}

TEST_CASE("a loss that is reported late does not withdraw the next connection", "[loss]") {
  pool_fixture f;
  f.run();
  connect(f);
  f.advance(1s);
  auto& first = f.connector.attempt(0);
  first.state = conn_grpc::runtime::connection_state::lost;  // noticed by the strand, and not yet reported
  first.changed(conn_grpc::runtime::connection_change::other);
  f.drain();
  connect(f);
  REQUIRE(f.next());
  first.changed(conn_grpc::runtime::connection_change::unusable);
  f.drain();
  CHECK(f.next_text() == "channel of attempt 2");
}

TEST_CASE("a connection that was closed in order is followed by an attempt at once, but not too often", "[loss]") {
  pool_fixture f;
  f.run();
  connect(f);
  (void)f.happened();
  f.advance(50ms);
  f.connector.last().lose(orderly);
  f.drain();
  CHECK(f.connector.attempts() == 2);
  CHECK(f.happened() == trace{"on_disconnect"});  // the backoff is not asked

  connect(f);
  f.advance(500ms - 1ns);  // half of stable_after
  f.connector.last().lose(orderly);
  f.drain();
  CHECK(f.connector.attempts() == 2);
  CHECK(f.happened() == trace{"reset", "on_connect", "on_disconnect", "next"});
  f.advance(100ms);
  CHECK(f.connector.attempts() == 3);

  connect(f);
  f.connector.last().lose(orderly);
  f.drain();
  CHECK(f.connector.attempts() == 4);
  CHECK(f.happened() == trace{"reset", "on_connect", "on_disconnect"});
}

TEST_CASE("a connection that ended otherwise is followed by the backoff's delay", "[loss]") {
  pool_fixture f;
  f.run();
  connect(f);
  f.advance(999ms);
  (void)f.happened();
  f.connector.last().lose(broken);
  f.drain();
  CHECK(f.happened() == trace{"on_disconnect", "next"});
  CHECK(f.status().last_error == "connection lost after 999 ms: Connection reset by peer");
}

TEST_CASE("a loss of unknown kind is treated like the last known loss", "[loss]") {
  pool_fixture f;
  f.options.stable_after = 40ms;
  f.run();
  const auto lose = [&](const conn_grpc::runtime::connection_loss& how) {
    connect(f);
    f.advance(20ms);
    (void)f.happened();
    f.connector.last().lose(how);
    f.drain();
    return f.happened();
  };
  const trace waits{"on_disconnect", "next"};
  const trace does_not_wait{"on_disconnect"};
  CHECK(lose(unknown) == waits);
  f.advance(100ms);
  CHECK(lose(orderly) == does_not_wait);
  CHECK(lose(unknown) == does_not_wait);
  CHECK(lose(broken) == waits);
  f.advance(100ms);
  CHECK(lose(unknown) == waits);
  f.advance(100ms);
  CHECK(lose(orderly) == does_not_wait);
  f.connector.last().fail("Connection refused");
  f.drain();
  f.advance(100ms);
  CHECK(lose(unknown) == waits);
}

TEST_CASE("RPCs that end a moment after the connection give the reason", "[loss]") {
  pool_fixture f;
  f.run();
  connect(f);
  (void)f.happened();
  auto& first = f.connector.last();
  first.may_know_more = true;
  first.lose(orderly);
  f.drain();
  CHECK(f.next().error() == errc::not_connected);  // already withdrawn
  CHECK(f.happened().empty());
  f.advance(1ms);
  first.loss = broken;
  first.may_know_more = false;
  f.advance(1ms);
  CHECK(f.happened() == trace{"on_disconnect", "next"});

  f.advance(100ms);
  connect(f);
  (void)f.happened();
  f.connector.last().may_know_more = true;
  f.connector.last().lose(orderly);
  f.drain();
  for (int ms = 0; ms < 20; ++ms) f.advance(1ms);  // 20 ms at most
  CHECK(f.happened() == trace{"on_disconnect"});
}
