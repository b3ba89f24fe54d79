// SPDX-License-Identifier: BSL-1.0
// Telemetry handlers: attaching, detaching, throwing.
#include <spdlog/logger.h>

#include <boost/system/system_error.hpp>
#include <conn_grpc/telemetry.hpp>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/recorded_log.hpp"

using conn_grpc::event;
using conn_grpc::telemetry;
using conn_grpc::telemetry_event;
using names = std::vector<std::string>;

namespace {

/// A handler that records its name and the event's.
telemetry::handler recording(names& received, std::string name) {
  return [&received, name = std::move(name)](const telemetry_event& e) {
    received.push_back(name + " " + std::string(to_string(e.name)));
  };
}

}  // namespace

TEST_CASE("handlers receive their events in the order of attachment, until they are detached", "[telemetry]") {
  telemetry t;
  names received;
  CHECK_FALSE(t.wants(event::channel_get));
  CHECK(t.attach("a", event::channel_get, recording(received, "a")));
  CHECK(t.attach_many("b", std::array{event::channel_get, event::pool_status}, recording(received, "b")));
  CHECK(t.wants(event::channel_get));
  CHECK(t.wants(event::channel_connected, event::pool_status));
  CHECK_FALSE(t.wants(event::channel_connected));
  t.emit({.name = event::channel_get});
  t.emit({.name = event::pool_status});
  t.emit({.name = event::channel_connected});
  CHECK(received == names{"a channel_get", "b channel_get", "b pool_status"});

  CHECK(t.detach("a"));
  CHECK_FALSE(t.detach("a"));
  CHECK_FALSE(t.detach("unknown"));
  t.emit({.name = event::channel_get});
  CHECK(received.size() == 4);
  CHECK(t.detach("b"));
  CHECK_FALSE(t.wants(event::channel_get, event::pool_status));
}

TEST_CASE("an id is taken until it is detached", "[telemetry]") {
  telemetry t;
  names received;
  CHECK(t.attach("id", event::channel_get, recording(received, "first")));
  CHECK_FALSE(t.attach("id", event::pool_status, recording(received, "second")));
  CHECK_FALSE(t.wants(event::pool_status));
  CHECK(t.detach("id"));
  CHECK(t.attach("id", event::channel_get, recording(received, "third")));
  t.emit({.name = event::channel_get});
  CHECK(received == names{"third channel_get"});
}

TEST_CASE("all events can be attached to at once, and have names", "[telemetry]") {
  telemetry t;
  names received;
  CHECK(t.attach_many("all", conn_grpc::all_events, recording(received, "h")));
  for (const event e : conn_grpc::all_events) t.emit({.name = e});
  CHECK(received == names{"h channel_get", "h channel_connected", "h channel_connection_failed",
                          "h channel_disconnected", "h pool_get_channel", "h pool_status", "h call_ended"});
}

TEST_CASE("an empty handler is refused", "[telemetry]") {
  telemetry t;
  CHECK_THROWS_AS(t.attach("id", event::channel_get, {}), boost::system::system_error);
  CHECK_FALSE(t.wants(event::channel_get));
}

TEST_CASE("handlers attach and detach from inside handlers", "[telemetry]") {
  telemetry t;
  names received;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = held;
  t.attach("self", event::channel_get, [&, held = std::move(held)](const telemetry_event&) {
    received.emplace_back("self");
    CHECK(t.detach("self"));
    CHECK(t.detach("later"));
    CHECK(t.attach("new", event::channel_get, recording(received, "new")));
    CHECK_FALSE(alive.expired());  // not destroyed while it runs
  });
  t.attach("later", event::channel_get, recording(received, "later"));
  t.emit({.name = event::channel_get});
  CHECK(received == names{"self"});  // "later" was detached before its turn, "new" came after the event
  CHECK(alive.expired());
  t.emit({.name = event::channel_get});
  CHECK(received == names{"self", "new channel_get"});
}

TEST_CASE("a get that a handler makes is not emitted, and neither is a call that ends inside a handler",
          "[telemetry]") {
  telemetry t;
  const event name = GENERATE(event::channel_get, event::pool_get_channel, event::call_ended);
  int calls = 0;
  t.attach("itself", name, [&](const telemetry_event& e) {
    ++calls;
    t.emit(e);
  });
  t.emit({.name = name});
  CHECK(calls == 1);
}

TEST_CASE("a handler that throws is detached, and logged with its id", "[telemetry]") {
  telemetry t;
  const recorded_log log("%l %v");
  names received;
  SECTION("a std::exception") {
    t.attach("bad one", event::channel_get, [](const telemetry_event&) { throw std::runtime_error("ouch"); });
  }
  SECTION("something else") {
    t.attach("bad one", event::channel_get, [](const telemetry_event&) { throw 7; });
  }
  t.attach("good one", event::channel_get, recording(received, "good"));
  t.emit({.name = event::channel_get}, log.logger().get());
  t.emit({.name = event::channel_get}, log.logger().get());
  CHECK(received.size() == 2);
  CHECK_FALSE(t.detach("bad one"));
  const std::string expected = "error conn_grpc: telemetry handler \"bad one\" threw on channel_get and was detached: ";
  CHECK((log.text() == expected + "ouch\n" || log.text() == expected + "an exception that is not a std::exception\n"));
}

TEST_CASE("a handler that takes the id of a throwing handler keeps it", "[telemetry]") {
  telemetry t;
  spdlog::logger silent("silent");
  names received;
  t.attach("id", event::channel_get, [&](const telemetry_event&) {
    t.detach("id");
    t.attach("id", event::channel_get, recording(received, "successor"));
    throw 1;
  });
  t.emit({.name = event::channel_get}, &silent);
  t.emit({.name = event::channel_get}, &silent);
  CHECK(received == names{"successor channel_get"});
}
