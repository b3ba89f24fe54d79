// SPDX-License-Identifier: BSL-1.0
// Gets that wait.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <optional>

#include "support/catch.hpp"
#include "support/waiting_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::error_code;
using trace = std::vector<std::string>;

TEST_CASE("waiters get the channel when it connects, first come, first served", "[waiting]") {
  waiting_fixture f(2);
  f.run();
  f.wait("a", 5'000ms);
  f.wait("b", 5'000ms);
  f.wait("c", 5'000ms);
  f.drain();
  CHECK(f.answers().empty());
  f.connector.attempt(1).succeed();
  f.drain();
  CHECK(f.answers() == trace{"a: attempt 2", "b: attempt 2", "c: attempt 2"});
  f.wait("d", 5'000ms);
  CHECK(f.answers().empty());  // not from within the initiating function
  f.drain();
  CHECK(f.answers() == trace{"d: attempt 2"});
}

TEST_CASE("a get that waits ends with not_connected at its deadline, and not before", "[waiting]") {
  waiting_fixture f;
  f.run();
  f.wait("late", 300ms);
  f.wait("early", 100ms);
  f.advance(100ms - 1ns);
  CHECK(f.answers().empty());
  f.advance(1ns);
  CHECK(f.answers() == trace{"early: no channel is connected"});
  f.wait("latest", 250ms);
  f.advance(200ms);
  CHECK(f.answers() == trace{"late: no channel is connected"});
  f.advance(50ms);
  CHECK(f.answers() == trace{"latest: no channel is connected"});
}

TEST_CASE("a get does not wait before async_run, or after stop", "[waiting]") {
  waiting_fixture f;
  f.make_pool();
  f.wait("idle", 1'000ms);
  f.drain();
  CHECK(f.answers() == trace{"idle: async_run has not been called, or has failed"});
  f.run();
  f.pool->stop();
  f.wait("stopped", 1'000ms);
  f.drain();
  CHECK(f.answers() == trace{"stopped: stopped"});
}

TEST_CASE("stop, restart_limit and destruction end the waiting", "[waiting]") {
  waiting_fixture f;
  f.options.max_restarts = 0;
  const std::string how = GENERATE("stop", "restart_limit", "destruction");
  CAPTURE(how);
  f.run();
  f.wait("w", 60'000ms);
  f.drain();
  if (how == "stop") f.pool->stop();
  if (how == "restart_limit") f.connector.throw_next(), f.connector.last().fail("no"), f.drain(), f.advance(100ms);
  if (how == "destruction") f.pool->stop(), f.pool.reset();
  f.drain();
  CHECK(f.answers() == trace{"w: stopped"});
}

TEST_CASE("a cancelled get ends at once, and takes no channel from others", "[waiting]") {
  waiting_fixture f;
  f.run();
  boost::asio::cancellation_signal cancel;
  f.wait("a", 5'000ms, &cancel);
  f.wait("b", 5'000ms);
  f.drain();
  cancel.emit(GENERATE(boost::asio::cancellation_type::terminal, boost::asio::cancellation_type::partial,
                       boost::asio::cancellation_type::total));
  f.drain();
  CHECK(f.answers() == trace{"a: Operation canceled"});
  cancel.emit(boost::asio::cancellation_type::total);  // the get has completed already
  f.connector.last().succeed();
  f.drain();
  CHECK(f.answers() == trace{"b: attempt 1"});
}

TEST_CASE("a get that is cancelled after a channel was handed to it returns the channel", "[waiting]") {
  waiting_fixture f;
  f.run();
  boost::asio::cancellation_signal cancel;
  f.wait("a", 5'000ms, &cancel);
  f.options.on_connect = {};
  f.drain();
  f.connector.last().succeed();
  while (f.pool->status().current_size == 0) f.io->poll_one();
  cancel.emit(boost::asio::cancellation_type::total);
  f.drain();
  CHECK(f.answers() == trace{"a: attempt 1"});
}

TEST_CASE("no more than max_waiters callers wait", "[waiting]") {
  waiting_fixture f;
  f.options.max_waiters = 2;
  f.run();
  f.wait("a", 100ms);
  f.wait("b", 5'000ms);
  f.wait("c", 5'000ms);
  f.drain();
  CHECK(f.answers() == trace{"c: as many callers wait as max_waiters allows"});
  f.advance(100ms);
  CHECK(f.answers() == trace{"a: no channel is connected"});
  f.wait("d", 5'000ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.answers() == trace{"b: attempt 1", "d: attempt 1"});
}

TEST_CASE("a timeout may be infinite", "[waiting]") {
  waiting_fixture f;
  f.options.attempt_limit = std::chrono::milliseconds::max();
  f.run();
  f.wait("patient", std::chrono::nanoseconds::max());
  f.advance(10'000h);
  CHECK(f.answers().empty());
  f.connector.last().succeed();
  f.drain();
  CHECK(f.answers() == trace{"patient: attempt 1"});
}

TEST_CASE("a get that waited is emitted once, with its whole duration", "[waiting]") {
  waiting_fixture f;
  f.options.telemetry->attach("test", conn_grpc::event::channel_get, [&](const conn_grpc::telemetry_event& e) {
    f.answered.push_back(std::to_string(e.duration / 1ms) + " ms " + std::string(e.channel_name) +
                         std::string(e.error));
  });
  f.run();
  f.wait("a", 5'000ms);
  f.wait("b", 30ms);
  f.advance(30ms);
  CHECK(f.answers() == trace{"30 ms no channel is connected", "b: no channel is connected"});
  f.advance(10ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.answers() == trace{"40 ms pool/0", "a: attempt 1"});
}

TEST_CASE("when the pool's context is destroyed first, waiters on another context are completed", "[waiting]") {
  waiting_fixture f;
  boost::asio::io_context elsewhere;
  const bool ran = GENERATE(true, false);
  f.make_pool();
  f.pool->async_run([](error_code) {});
  if (ran) f.drain();
  f.wait("there", 5'000ms, nullptr, &elsewhere);
  f.io.reset();
  elsewhere.poll();
  CHECK(f.answers() == trace{"there: stopped"});
}

TEST_CASE("when the waiter's context is destroyed first, the waiter is destroyed uncalled", "[waiting]") {
  waiting_fixture f;
  std::optional<boost::asio::io_context> elsewhere(std::in_place);
  f.options.max_waiters = 1;
  f.run();
  auto alive = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = alive;
  f.wait("there", 5'000ms, nullptr, &*elsewhere, std::move(alive));
  CHECK_FALSE(watch.expired());
  elsewhere.reset();
  CHECK(watch.expired());
  f.wait("here", 5'000ms);  // the destroyed waiter has left the queue, too
  f.connector.last().succeed();
  f.drain();
  CHECK(f.answers() == trace{"here: attempt 1"});
}

TEST_CASE("connected(n) completes once n channels are connected at once", "[waiting]") {
  waiting_fixture f(3);
  f.make_pool();
  f.wait_for_size("idle", 1);
  f.drain();
  CHECK(f.answers() == trace{"idle: async_run has not been called, or has failed"});
  f.run();
  f.wait_for_size("three", 3);
  f.wait_for_size("one", 1);
  f.wait_for_size("none", 0);
  f.wait_for_size("four", 4);
  f.drain();
  CHECK(f.answers() == trace{"none: Success", "four: Invalid argument"});
  f.connector.attempt(0).succeed();
  f.drain();
  CHECK(f.answers() == trace{"one: Success"});
  f.connector.attempt(1).succeed();
  f.drain();
  f.connector.attempt(0).lose();
  f.drain();
  f.connector.attempt(2).succeed();
  f.drain();
  CHECK(f.answers().empty());
  f.wait_for_size("two", 2);
  f.drain();
  CHECK(f.answers() == trace{"two: Success"});
  f.pool->stop();
  f.drain();
  CHECK(f.answers() == trace{"three: stopped"});
}

TEST_CASE("connected(n) may have a deadline", "[waiting]") {
  waiting_fixture f(2);
  f.run();
  f.wait_for_size("late", 2, 200ms);
  f.wait_for_size("early", 1, 100ms);
  f.wait("get", 150ms);
  f.advance(100ms);
  CHECK(f.answers() == trace{"early: no channel is connected"});
  f.advance(50ms);
  CHECK(f.answers() == trace{"get: no channel is connected"});
  f.connector.attempt(0).succeed();
  f.advance(50ms);
  CHECK(f.answers() == trace{"late: no channel is connected"});
}

TEST_CASE("a mock answers without a wait", "[waiting]") {
  waiting_fixture f;
  f.mock = [] { return fake_channel(std::make_shared<std::string>("channel of the mock")); };
  f.run();
  f.wait_for_size("size", 1);
  f.drain();
  CHECK(f.answers() == trace{"size: Success"});
  CHECK(object_of<std::string>(f.next_unless_waiting().value()).ends_with("mock"));
}

TEST_CASE("a get does not wait in a pool of size 0", "[waiting]") {
  waiting_fixture f(0);
  f.run();
  CHECK(f.next_unless_waiting().error() == errc::not_connected);
  CHECK(f.pool->size_unless_waiting(1) == error_code(boost::asio::error::invalid_argument));
  CHECK(f.pool->size_unless_waiting(0) == error_code());
}
