// SPDX-License-Identifier: BSL-1.0
// Many waiters are completed in slices: no thread, and no handler on the strand,
// completes more than 256 of them.
#include <algorithm>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/waiting_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::error_code;
using trace = std::vector<std::string>;

namespace {

constexpr std::size_t slice = 256;
constexpr std::size_t waiter_count = 2'000;

/// Waiting gets, "0", "1", ... in order, whose handlers run on another context.
struct many_waiters : waiting_fixture {
  explicit many_waiters(std::chrono::nanoseconds timeout = 5'000ms) {
    run();
    for (std::size_t i = 0; i < waiter_count; ++i) wait(std::to_string(i), timeout, nullptr, &elsewhere);
    drain();
  }

  /// How many were completed since the last call.
  std::size_t completed() {
    elsewhere.restart();
    elsewhere.poll();
    const auto now = answered.size() - known_;
    known_ = answered.size();
    return now;
  }

  /// Runs the pool's context to its end.
  /// @return the most that were completed in one turn.
  std::size_t most_completed_in_a_turn() {
    std::size_t most = 0;
    io->restart();
    while (io->poll_one() > 0) most = std::max(most, completed());
    return most;
  }

  boost::asio::io_context elsewhere;

 private:
  std::size_t known_ = 0;
};

trace all_answered(const std::string& what) {
  trace all;
  for (std::size_t i = 0; i < waiter_count; ++i) all.push_back(std::to_string(i) + ": " + what);
  return all;
}

}  // namespace

TEST_CASE("one connection serves many waiters in slices, in order", "[waiting]") {
  many_waiters f;
  f.connector.last().succeed();
  CHECK(f.most_completed_in_a_turn() == slice);
  CHECK(f.answers() == all_answered("attempt 1"));
}

TEST_CASE("many waiters with the same deadline are completed in slices, in order", "[waiting]") {
  many_waiters f(100ms);
  manual_clock::advance(100ms);
  CHECK(f.most_completed_in_a_turn() == slice);
  CHECK(f.answers() == all_answered("no channel is connected"));
}

TEST_CASE("stop completes a slice, the strand completes the rest, and async_run completes after that", "[waiting]") {
  many_waiters f;
  f.pool->stop();
  CHECK(f.completed() == slice);
  CHECK_FALSE(f.ended);
  std::size_t completed = slice;
  f.io->restart();
  while (f.io->poll_one() > 0) {
    const auto now = f.completed();
    CHECK(now <= slice);
    completed += now;
    if (f.ended) CHECK(completed == waiter_count);
  }
  CHECK(f.ended == error_code());
  CHECK(f.answers() == all_answered("stopped"));
}

TEST_CASE("connected(n) is completed in slices, too", "[waiting]") {
  waiting_fixture f(2);
  f.run();
  for (std::size_t i = 0; i < waiter_count; ++i) f.wait_for_size(std::to_string(i), 1 + i % 2);
  f.connector.attempt(0).succeed();
  f.io->restart();
  std::size_t most = 0;
  // Its handlers run on the pool's own context, in between.
  for (std::size_t before = 0; f.io->poll_one() > 0; before = f.answered.size())
    most = std::max(most, f.answered.size() - before);
  CHECK(most == 1);
  trace ones;
  for (std::size_t i = 0; i < waiter_count; i += 2) ones.push_back(std::to_string(i) + ": Success");
  CHECK(f.answers() == ones);
  f.pool->stop();
  f.drain();
  trace twos;
  for (std::size_t i = 1; i < waiter_count; i += 2) twos.push_back(std::to_string(i) + ": stopped");
  CHECK(f.answers() == twos);
}

TEST_CASE("other handlers of the context run between two slices", "[waiting]") {
  many_waiters f;
  f.connector.last().succeed();
  f.io->restart();
  while (f.completed() == 0) f.io->poll_one();
  std::size_t completed = slice;
  bool ran = false;
  boost::asio::post(*f.io, [&] { ran = true; });
  while (!ran) {
    f.io->poll_one();
    completed += f.completed();
  }
  CHECK(completed < waiter_count);
}

TEST_CASE("no newcomer overtakes between two slices, and newcomers after a stop are answered at once", "[waiting]") {
  many_waiters f;
  f.connector.last().succeed();
  f.io->restart();
  while (f.completed() == 0) f.io->poll_one();
  f.wait("newcomer", 5'000ms, nullptr, &f.elsewhere);
  CHECK(f.completed() == 0);
  SECTION("the newcomer is served last") {
    f.drain();
    CHECK(f.completed() == waiter_count - slice + 1);
    auto expected = all_answered("attempt 1");
    expected.emplace_back("newcomer: attempt 1");
    CHECK(f.answers() == expected);
  }
  SECTION("a newcomer after a stop does not queue behind waiters that are left to the strand") {
    f.pool->stop();
    f.wait("after the stop", 5'000ms, nullptr, &f.elsewhere);
    CHECK(f.completed() == slice + 1);
    CHECK(std::ranges::count(f.answered, "after the stop: stopped") == 1);
    f.drain();
    CHECK(f.completed() == waiter_count + 1 - 2 * slice);
  }
}

TEST_CASE("a connection that is lost between two slices leaves the rest waiting, in order", "[waiting]") {
  many_waiters f;
  f.connector.last().succeed();
  f.io->restart();
  while (f.completed() == 0) f.io->poll_one();
  f.connector.last().lose();
  f.drain();
  const auto served = slice + f.completed();
  REQUIRE(served < waiter_count);
  f.advance(100ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.completed() == waiter_count - served);
  auto expected = all_answered("attempt 1");
  for (auto i = served; i < waiter_count; ++i) expected[i] = std::to_string(i) + ": attempt 2";
  CHECK(f.answers() == expected);
}

TEST_CASE("a waiter that is cancelled between two slices takes no channel from others", "[waiting]") {
  waiting_fixture f;
  f.run();
  boost::asio::cancellation_signal cancel;
  for (std::size_t i = 0; i + 1 < waiter_count; ++i) f.wait(std::to_string(i), 5'000ms);
  f.wait("last", 5'000ms, &cancel);
  f.drain();
  f.connector.last().succeed();
  f.io->restart();
  while (f.answered.empty()) f.io->poll_one();
  cancel.emit(boost::asio::cancellation_type::total);
  f.drain();
  CHECK(f.answered.size() == waiter_count);
  CHECK(std::ranges::count(f.answered, "last: Operation canceled") == 1);
}

TEST_CASE("waiters that stop has left are completed when the context is destroyed", "[waiting]") {
  many_waiters f;
  f.pool->stop();
  const bool owner_first = GENERATE(true, false);
  if (owner_first) f.pool.reset();
  CHECK(f.completed() == slice);
  f.io.reset();
  CHECK(f.completed() == waiter_count - slice);
  CHECK(f.answers() == all_answered("stopped"));
}

TEST_CASE("when the context is destroyed first, waiters on another context are completed", "[waiting]") {
  many_waiters f;
  f.io.reset();
  CHECK(f.completed() == waiter_count);
  CHECK(f.answers() == all_answered("stopped"));
}

TEST_CASE("waiters that stop has left can be cancelled while no thread runs the context", "[waiting]") {
  std::vector<boost::asio::cancellation_signal> cancels(waiter_count);
  waiting_fixture f;
  boost::asio::io_context elsewhere;
  f.run();
  for (std::size_t i = 0; i < waiter_count; ++i) f.wait(std::to_string(i), 5'000ms, &cancels[i], &elsewhere);
  f.pool->stop();
  cancels.back().emit(boost::asio::cancellation_type::total);
  elsewhere.poll();
  CHECK(f.answered.size() == 2 * slice);
  CHECK(std::ranges::count(f.answered, std::to_string(waiter_count - 1) + ": Operation canceled") == 1);
  for (auto& c : cancels) c.emit(boost::asio::cancellation_type::total);
  elsewhere.restart();
  elsewhere.poll();
  CHECK(f.answered.size() == waiter_count);
}
