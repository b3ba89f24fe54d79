// SPDX-License-Identifier: BSL-1.0
// The telemetry events of a pool: which, when, with which durations and names.
#include "runtime/call_report.hpp"
#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::event;
using conn_grpc::telemetry_event;
using trace = std::vector<std::string>;
using call_report = conn_grpc::runtime::call_report<manual_clock>;

namespace {

std::string text(const telemetry_event& e) {
  std::string line(to_string(e.name));
  if (e.name == event::pool_status)
    return line += " " + std::to_string(e.current_size) + "/" + std::to_string(e.expected_size) + " " +
                   std::string(e.pool_name);
  line += " " + std::to_string(e.duration / 1ms) + "ms pool=" + std::string(e.pool_name);
  line += " channel=" + std::string(e.channel_name);
  if (e.name == event::call_ended)
    line += " address=" + std::string(e.address) + " method=" + std::string(e.method) +
            " code=" + std::to_string(e.status_code) + " attempts=" + std::to_string(e.attempts) +
            " waited=" + std::to_string(e.waited / 1ms) + "ms";
  if (!e.error.empty()) line += " error=" + std::string(e.error);
  return line;
}

/// Writes the events into the trace of the callbacks.
struct listening_fixture : pool_fixture {
  using pool_fixture::pool_fixture;

  void listen(std::initializer_list<event> names) {
    options.telemetry->attach_many("test", std::span(names.begin(), names.size()),
                                   [this](const telemetry_event& e) { trace.push_back(text(e)); });
  }
};

std::shared_ptr<const conn_grpc::runtime::channel_identity> channel_named(const std::string& name,
                                                                          const std::string& address) {
  return std::make_shared<conn_grpc::runtime::channel_identity>(
      conn_grpc::runtime::channel_identity{.slot = 0, .name = name, .address = address});
}

constexpr auto gets = {event::channel_get, event::pool_get_channel};
constexpr auto connections = {event::channel_connected, event::channel_connection_failed, event::channel_disconnected};

}  // namespace

TEST_CASE("a connect publishes, emits and calls on_connect; a loss withdraws, calls on_disconnect and emits",
          "[events]") {
  listening_fixture f;
  const auto offered = [&] { return f.next() ? " while offered" : " while withdrawn"; };
  f.options.on_connect = [&] { f.trace.push_back(std::string("on_connect") + offered()); };
  f.options.on_disconnect = [&] { f.trace.push_back(std::string("on_disconnect") + offered()); };
  f.options.telemetry->attach_many("test", connections,
                                   [&](const telemetry_event& e) { f.trace.push_back(text(e) + offered()); });
  f.run();
  f.advance(7ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.happened() == trace{"make_backoff 1000..30000", "reset",
                              "channel_connected 7ms pool=pool channel=pool/0 while offered",
                              "on_connect while offered"});
  f.advance(2'000ms);
  f.connector.last().lose();
  f.drain();
  CHECK(f.happened() ==
        trace{"on_disconnect while withdrawn",
              "channel_disconnected 2000ms pool=pool channel=pool/0 error=closed by the peer while withdrawn"});
  f.advance(3ms);
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.happened() == trace{"channel_connection_failed 3ms pool=pool channel=pool/0 error=Connection refused"
                              " while withdrawn",
                              "next"});
}

TEST_CASE("the event of an attempt that times out says so", "[events]") {
  listening_fixture f;
  f.listen(connections);
  f.run();
  f.advance(5'000ms);
  CHECK(f.happened() == trace{"make_backoff 1000..30000",
                              "channel_connection_failed 5000ms pool=pool channel=pool/0"
                              " error=the attempt did not end, and was given up after 5000 ms",
                              "next"});
}

TEST_CASE("each channel_connected has its channel_disconnected", "[events]") {
  listening_fixture f;
  const std::string how = GENERATE("stop", "on_connect throws", "on_disconnect throws");
  CAPTURE(how);
  f.options.on_connect = [&] {
    if (how == "on_connect throws") throw std::runtime_error("no");
  };
  f.options.on_disconnect = [&] {
    f.trace.emplace_back("on_disconnect");
    if (how == "on_disconnect throws") throw std::runtime_error("no");
  };
  f.listen(connections);
  f.run();
  f.connector.last().succeed();
  f.drain();
  if (how == "stop") f.pool->stop();
  if (how == "on_disconnect throws") f.connector.last().lose();
  f.drain();
  const auto all = f.happened();
  CHECK(std::ranges::count(all, "channel_connected 0ms pool=pool channel=pool/0") == 1);
  const std::string why = how == "stop"                ? "stopped"
                          : how == "on_connect throws" ? "on_connect threw: no"
                                                       : "closed by the peer";
  CHECK(std::ranges::count(all, "channel_disconnected 0ms pool=pool channel=pool/0 error=" + why) == 1);
  CHECK(std::ranges::count(all, "on_disconnect") == (how == "on_connect throws" ? 0 : 1));
}

TEST_CASE("a pool's get emits channel_get and pool_get_channel, with the channel that it found", "[events]") {
  listening_fixture f(2);
  f.listen(gets);
  f.run();
  (void)f.happened();
  (void)f.next();
  CHECK(f.happened() == trace{"channel_get 0ms pool=pool channel= error=no channel is connected",
                              "pool_get_channel 0ms pool=pool channel= error=no channel is connected"});
  f.connector.attempt(1).succeed();
  f.drain();
  (void)f.happened();
  (void)f.next();
  CHECK(f.happened() ==
        trace{"channel_get 0ms pool=pool channel=pool/1", "pool_get_channel 0ms pool=pool channel=pool/1"});
}

TEST_CASE("a channel's get emits channel_get alone, on success and on failure", "[events]") {
  listening_fixture f;
  f.options.status_interval.reset();
  f.options.name = "alone";
  f.listen(gets);
  f.make_pool();
  (void)f.next();
  CHECK(f.happened() ==
        trace{"channel_get 0ms pool= channel=alone error=async_run has not been called, or has failed"});
  f.run();
  f.connector.last().succeed();
  f.drain();
  (void)f.happened();
  (void)f.next();
  CHECK(f.happened() == trace{"channel_get 0ms pool= channel=alone"});
}

TEST_CASE("pool_status is emitted at once, and then at each status_interval, until stop", "[events]") {
  listening_fixture f(2);
  f.listen({event::pool_status});
  f.options.status_interval = 700ms;
  f.run();
  CHECK(f.happened() == trace{"pool_status 0/2 pool", "make_backoff 1000..30000", "make_backoff 1000..30000"});
  f.connector.attempt(0).succeed();
  f.advance(700ms - 1ns);
  CHECK(std::ranges::count(f.happened(), "pool_status 1/2 pool") == 0);
  f.advance(1ns);
  CHECK(f.happened() == trace{"pool_status 1/2 pool"});
  f.connector.attempt(1).fail("no");
  f.advance(700ms);
  CHECK(std::ranges::count(f.happened(), "pool_status 1/2 pool") == 1);
  f.pool->stop();
  f.drain();
  (void)f.happened();
  CHECK(f.ended == conn_grpc::error_code());
  f.advance(7'000ms);
  CHECK(f.happened().empty());
}

TEST_CASE("pool_status is also emitted when all channels fail, and for a pool of size 0", "[events]") {
  listening_fixture f(GENERATE(std::size_t{0}, std::size_t{1}));
  f.listen({event::pool_status});
  f.run();
  const auto size = std::to_string(f.pool->status().expected_size);
  if (size != "0") f.connector.last().fail("no");
  f.advance(5'000ms);
  CHECK(std::ranges::count(f.happened(), "pool_status 0/" + size + " pool") == 2);
}

TEST_CASE("a status_interval may be infinite", "[events]") {
  listening_fixture f;
  f.listen({event::pool_status});
  f.options.status_interval = std::chrono::milliseconds::max();
  f.run();
  f.advance(10'000h);
  CHECK(std::ranges::count(f.happened(), "pool_status 0/1 pool") == 1);
}

TEST_CASE("a channel on its own emits no pool_status", "[events]") {
  listening_fixture f;
  f.listen({event::pool_status});
  f.options.status_interval.reset();
  f.options.attempt_limit = 100'000ms;
  f.run();
  f.advance(60'000ms);
  CHECK(f.happened() == trace{"make_backoff 1000..30000"});
}

TEST_CASE("a handler that throws neither restarts nor stops anything", "[events]") {
  listening_fixture f;
  f.options.telemetry->attach_many("bad", conn_grpc::all_events, [](const telemetry_event&) { throw 1; });
  f.run();
  f.connector.last().succeed();
  f.drain();
  CHECK(f.next().has_value());
  CHECK(f.connector.attempts() == 1);
  CHECK(f.status().last_error.empty());
  CHECK(f.lines().find("telemetry handler \"bad\" threw on pool_status and was detached") != std::string::npos);
}

TEST_CASE("a handler may stop and destroy the pool", "[events]") {
  listening_fixture f;
  const event when = GENERATE(from_range(std::vector(conn_grpc::all_events.begin(), conn_grpc::all_events.end())));
  CAPTURE(to_string(when));
  f.options.telemetry->attach("end", when, [&](const telemetry_event&) {
    if (auto pool = std::exchange(f.pool, nullptr)) pool->stop();
  });
  f.run();
  const auto kept = f.pool;
  for (std::size_t a = 0; a < 3 && a < f.connector.attempts(); ++a) {
    if (a == 0)
      f.connector.attempt(a).fail("no");
    else
      f.connector.attempt(a).succeed();
    f.drain();
    if (kept) (void)kept->pick<conn_grpc::runtime::if_none::fail>();
    {
      const call_report call(f.options, "/test.Greeter/SayHello");
    }
    if (a > 0) f.connector.attempt(a).lose();
    f.advance(100ms);
  }
  CHECK(f.ended == conn_grpc::error_code());
  f.options.telemetry->detach("end");
}

TEST_CASE("a handler may destroy the pool whose get it is called for", "[events]") {
  listening_fixture f;
  f.options.telemetry->attach("end", event::channel_get, [&](const telemetry_event&) { f.pool.reset(); });
  f.make_pool();
  CHECK(f.next().error() == conn_grpc::errc::not_started);
  CHECK_FALSE(f.pool);
}

TEST_CASE("a call is emitted once, with the channel of its last attempt and the time that it waited", "[events]") {
  listening_fixture f;
  f.listen({event::call_ended});
  CHECK(call_report::is_wanted(f.options));
  {
    call_report call(f.options, "/test.Greeter/SayHello");
    call.waits();
    f.advance(5ms);
    call.wait_ended();
    call.attempt(channel_named("pool/0", "first"));
    f.advance(7ms);
    call.waits();
    f.advance(2ms);
    call.wait_ended();
    call.wait_ended();
    call.attempt(channel_named("pool/1", "second"));
    f.advance(1ms);
    call.ended(grpc::StatusCode::ABORTED, "no");
    f.advance(100ms);  // until the strand runs
    call.emit();
    CHECK(f.happened() == trace{"call_ended 15ms pool=pool channel=pool/1 address=second "
                                "method=/test.Greeter/SayHello code=10 attempts=2 waited=7ms error=no"});
  }
  CHECK(f.happened().empty());
}

TEST_CASE("a call that is abandoned while it waits is emitted as cancelled", "[events]") {
  listening_fixture f;
  f.listen({event::call_ended});
  f.options.status_interval.reset();  // a channel on its own
  {
    call_report call(f.options, "/test.Greeter/SayHello");
    f.advance(1ms);
    call.waits();
    f.advance(5ms);
  }
  CHECK(f.happened() == trace{"call_ended 6ms pool= channel=pool address= method=/test.Greeter/SayHello code=1 "
                              "attempts=0 waited=5ms error=the call was abandoned"});
}

TEST_CASE("nothing wants to know about a call unless a handler is attached to call_ended", "[events]") {
  listening_fixture f;
  CHECK_FALSE(call_report::is_wanted(f.options));
  f.listen(gets);
  CHECK_FALSE(call_report::is_wanted(f.options));
}

TEST_CASE("a mock answers every get, and the channel connects nevertheless", "[mock]") {
  pool_fixture f;
  int asked = 0;
  f.mock = [&] {
    ++asked;
    return fake_channel(std::make_shared<std::string>("mocked"));
  };
  f.make_pool();
  CHECK(f.next_text() == "mocked");
  f.run();
  f.connector.last().succeed();
  f.drain();
  CHECK(f.status().state == conn_grpc::channel_state::connected);
  CHECK(f.next_text() == "mocked");
  f.pool->stop();
  f.drain();
  CHECK(f.next_text() == "mocked");
  CHECK(asked == 3);
}

TEST_CASE("a get ends in not_connected when the mock returns null, and throws what the mock throws", "[mock]") {
  listening_fixture f;
  f.listen(gets);
  f.mock = [] { return nullptr; };
  f.make_pool();
  CHECK(f.next().error() == conn_grpc::errc::not_connected);
  CHECK(f.happened().size() == 2);
  f.mock = []() -> conn_grpc::runtime::channel_ptr { throw std::logic_error("mock"); };
  f.make_pool();
  CHECK_THROWS_AS(f.next(), std::logic_error);
}

TEST_CASE("a get that ends with an exception of the mock is emitted with its text", "[mock]") {
  pool_fixture f;
  f.mock = []() -> conn_grpc::runtime::channel_ptr { throw std::logic_error("no channel today"); };
  std::vector<std::string> emitted;
  f.options.telemetry->attach_many("test",
                                   std::array{conn_grpc::event::channel_get, conn_grpc::event::pool_get_channel},
                                   [&](const conn_grpc::telemetry_event& e) {
                                     emitted.push_back(std::string(to_string(e.name)) + ": " + std::string(e.error));
                                   });
  f.make_pool();
  CHECK_THROWS_AS(f.next(), std::logic_error);
  const std::vector<std::string> both{"channel_get: no channel today", "pool_get_channel: no channel today"};
  CHECK(emitted == both);
  emitted.clear();
  CHECK_THROWS_AS(f.next_unless_waiting(), std::logic_error);
  CHECK(emitted == both);
}
