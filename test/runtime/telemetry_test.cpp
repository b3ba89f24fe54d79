// SPDX-License-Identifier: BSL-1.0
// Attaching, detaching, throwing.
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/system/system_error.hpp>
#include <conn_grpc/telemetry.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

using conn_grpc::event;
using conn_grpc::telemetry;
using conn_grpc::telemetry_event;
using names = std::vector<std::string>;

namespace {

/// A handler that writes its name and the event's down.
telemetry::handler noting(names& heard, std::string who) {
  return [&heard, who = std::move(who)](const telemetry_event& e) {
    heard.push_back(who + " " + std::string(to_string(e.name)));
  };
}

}  // namespace

TEST_CASE("a handler hears its events, in the order of attachment, until it is detached", "[telemetry]") {
  telemetry t;
  names heard;
  CHECK_FALSE(t.wants(event::channel_get));
  CHECK(t.attach("a", event::channel_get, noting(heard, "a")));
  CHECK(t.attach_many("b", std::array{event::channel_get, event::pool_status}, noting(heard, "b")));
  CHECK(t.wants(event::channel_get));
  CHECK(t.wants(event::channel_connected, event::pool_status));
  CHECK_FALSE(t.wants(event::channel_connected));
  t.emit({.name = event::channel_get});
  t.emit({.name = event::pool_status});
  t.emit({.name = event::channel_connected});
  CHECK(heard == names{"a channel_get", "b channel_get", "b pool_status"});

  CHECK(t.detach("a"));
  CHECK_FALSE(t.detach("a"));
  CHECK_FALSE(t.detach("nobody"));
  t.emit({.name = event::channel_get});
  CHECK(heard.size() == 4);
  CHECK(t.detach("b"));
  CHECK_FALSE(t.wants(event::channel_get, event::pool_status));
}

TEST_CASE("an id is taken until it is detached", "[telemetry]") {
  telemetry t;
  names heard;
  CHECK(t.attach("id", event::channel_get, noting(heard, "first")));
  CHECK_FALSE(t.attach("id", event::pool_status, noting(heard, "second")));
  CHECK_FALSE(t.wants(event::pool_status));
  CHECK(t.detach("id"));
  CHECK(t.attach("id", event::channel_get, noting(heard, "third")));
  t.emit({.name = event::channel_get});
  CHECK(heard == names{"third channel_get"});
}

TEST_CASE("all events can be attached to at once, and have names", "[telemetry]") {
  telemetry t;
  names heard;
  CHECK(t.attach_many("all", conn_grpc::all_events, noting(heard, "h")));
  for (const event e : conn_grpc::all_events) t.emit({.name = e});
  CHECK(heard == names{"h channel_get", "h channel_connected", "h channel_connection_failed", "h channel_disconnected",
                       "h pool_get_channel", "h pool_status"});
}

TEST_CASE("an empty handler is refused", "[telemetry]") {
  telemetry t;
  CHECK_THROWS_AS(t.attach("id", event::channel_get, {}), boost::system::system_error);
  CHECK_FALSE(t.wants(event::channel_get));
}

TEST_CASE("handlers attach and detach from inside handlers", "[telemetry]") {
  telemetry t;
  names heard;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = held;
  t.attach("self", event::channel_get, [&, held = std::move(held)](const telemetry_event&) {
    heard.emplace_back("self");
    CHECK(t.detach("self"));
    CHECK(t.detach("later"));
    CHECK(t.attach("new", event::channel_get, noting(heard, "new")));
    CHECK_FALSE(alive.expired());  // not destroyed while it runs
  });
  t.attach("later", event::channel_get, noting(heard, "later"));
  t.emit({.name = event::channel_get});
  CHECK(heard == names{"self"});  // "later" was detached before its turn, "new" came after the event
  CHECK(alive.expired());
  t.emit({.name = event::channel_get});
  CHECK(heard == names{"self", "new channel_get"});
}

TEST_CASE("what a handler itself causes is not told", "[telemetry]") {
  telemetry t;
  int calls = 0;
  t.attach("get in a get", event::channel_get, [&](const telemetry_event& e) {
    ++calls;
    t.emit(e);
  });
  t.emit({.name = event::channel_get});
  CHECK(calls == 1);
}

TEST_CASE("a handler that throws is detached, and logged with its id", "[telemetry]") {
  telemetry t;
  std::ostringstream lines;
  spdlog::logger log("test", std::make_shared<spdlog::sinks::ostream_sink_st>(lines));
  log.set_pattern("%l %v");
  names heard;
  SECTION("a std::exception") {
    t.attach("bad one", event::channel_get, [](const telemetry_event&) { throw std::runtime_error("ouch"); });
  }
  SECTION("something else") {
    t.attach("bad one", event::channel_get, [](const telemetry_event&) { throw 7; });
  }
  t.attach("good one", event::channel_get, noting(heard, "good"));
  t.emit({.name = event::channel_get}, &log);
  t.emit({.name = event::channel_get}, &log);
  CHECK(heard.size() == 2);
  CHECK_FALSE(t.detach("bad one"));
  const std::string expected = "error conn_grpc: telemetry handler \"bad one\" threw on channel_get and was detached: ";
  CHECK((lines.str() == expected + "ouch\n" || lines.str() == expected + "an exception that is not a std::exception\n"));
}

TEST_CASE("who takes the id of a handler that throws keeps it", "[telemetry]") {
  telemetry t;
  spdlog::logger silent("silent");
  names heard;
  t.attach("id", event::channel_get, [&](const telemetry_event&) {
    t.detach("id");
    t.attach("id", event::channel_get, noting(heard, "heir"));
    throw 1;
  });
  t.emit({.name = event::channel_get}, &silent);
  t.emit({.name = event::channel_get}, &silent);
  CHECK(heard == names{"heir channel_get"});
}
