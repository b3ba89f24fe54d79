// SPDX-License-Identifier: BSL-1.0
// Every way to end a pool, in every state.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

namespace asio = boost::asio;
using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

enum class pool_state { not_started, connecting, connected, held_by_user, backing_off, events_pending };

struct pool_in_state : pool_fixture {
  conn_grpc::runtime::channel_ptr held;

  explicit pool_in_state(pool_state where) : pool_fixture(2) {
    make_pool();
    if (where == pool_state::not_started) return;
    run();
    if (where == pool_state::connecting) return;
    for (std::size_t slot = 0; slot < 2; ++slot) {
      if (where == pool_state::backing_off)
        connector.attempt(slot).fail("no");
      else
        connector.attempt(slot).succeed();
    }
    if (where == pool_state::events_pending) return;
    drain();
    if (where == pool_state::held_by_user) held = *next();
  }
};

pool_state any_state() {
  return GENERATE(pool_state::not_started, pool_state::connecting, pool_state::connected, pool_state::held_by_user,
                  pool_state::backing_off, pool_state::events_pending);
}

/// An executor that shares the ownership of its context.
struct owning_executor {
  std::shared_ptr<asio::io_context> context;

  template <class Function>
  void execute(Function function) const {
    asio::post(*context, std::move(function));
  }
  [[nodiscard]] asio::execution_context& query(asio::execution::context_t) const noexcept { return *context; }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  [[nodiscard]] owning_executor require(asio::execution::blocking_t::never_t) const { return *this; }
  bool operator==(const owning_executor&) const = default;
};

}  // namespace

TEST_CASE("stop ends async_run with success, and releases every connection", "[stop]") {
  const pool_state where = any_state();
  CAPTURE(static_cast<int>(where));
  pool_in_state f(where);
  (void)f.happened();
  f.pool->stop();
  CHECK(f.next().error() == errc::stopped);  // at once, before the strand runs
  f.pool->stop();
  f.drain();
  for (std::size_t a = 0; a < f.connector.attempts(); ++a) CHECK(f.connector.attempt(a).given_up);
  CHECK(f.connector.attempts() <= 2);
  if (where == pool_state::not_started) {
    CHECK_FALSE(f.ended);
  } else {
    CHECK(f.ended == error_code());
    CHECK(f.status().state == channel_state::stopped);
    CHECK(f.io->stopped());  // no work is left
  }
  const bool was_connected = where == pool_state::connected || where == pool_state::held_by_user;
  CHECK(f.happened() ==
        (was_connected ? std::vector<std::string>{"on_disconnect", "on_disconnect"} : std::vector<std::string>{}));
  f.advance(1h);
  CHECK(f.connector.attempts() <= 2);
}

TEST_CASE("a stopped pool stays stopped", "[stop]") {
  pool_in_state f(any_state());
  f.pool->stop();
  f.drain();
  f.ended.reset();
  f.run();
  CHECK(f.ended == errc::stopped);
  CHECK(f.next().error() == errc::stopped);
}

TEST_CASE("the owner may be destroyed at any time, and async_run completes nevertheless", "[stop]") {
  const pool_state where = any_state();
  pool_in_state f(where);
  f.pool->stop();  // as the destructors of channel and pool do
  f.pool.reset();
  f.drain();
  CHECK(f.ended.has_value() == (where != pool_state::not_started));
  for (std::size_t a = 0; a < f.connector.attempts(); ++a) CHECK(f.connector.attempt(a).given_up);
  CHECK(f.options.on_connect);  // the fixture outlives all that refers to it
}

TEST_CASE("the context may be destroyed first", "[stop]") {
  const pool_state where = any_state();
  pool_in_state f(where);
  f.io.reset();
  for (std::size_t a = 0; a < f.connector.attempts(); ++a) CHECK(f.connector.attempt(a).given_up);
  CHECK_FALSE(f.ended);
  CHECK_FALSE(f.pool->executor());
  CHECK(f.status().state == (where == pool_state::not_started ? channel_state::not_started : channel_state::stopped));
  CHECK(f.next().error() == (where == pool_state::not_started ? errc::not_started : errc::stopped));
  for (std::size_t a = 0; a < f.connector.attempts(); ++a) f.connector.attempt(a).lose();  // gRPC still reports losses
  f.pool->stop();
  CHECK(f.next().error() == errc::stopped);
  f.pool.reset();
}

TEST_CASE("the context may be destroyed between stop and its effect", "[stop]") {
  pool_in_state f(any_state());
  f.pool->stop();
  if (GENERATE(true, false)) f.pool.reset();
  f.io.reset();
  for (std::size_t a = 0; a < f.connector.attempts(); ++a) CHECK(f.connector.attempt(a).given_up);
}

TEST_CASE("the context of a user's strand may be destroyed first", "[stop]") {
  pool_fixture f;
  f.make_pool(boost::asio::make_strand(*f.io));
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.io.reset();
  f.pool.reset();
}

TEST_CASE("an executor may be the last owner of its context", "[stop]") {
  pool_fixture f;
  f.make_pool(owning_executor{f.io});
  const std::weak_ptr context = f.io;
  f.io.reset();
  f.pool.reset();
  CHECK(context.expired());
}

TEST_CASE("stop from inside a callback", "[stop]") {
  pool_fixture f;
  SECTION("on_connect") {
    f.options.on_connect = [&] { f.pool->stop(); };
    f.run();
    f.connector.last().succeed();
    f.drain();
  }
  SECTION("on_disconnect") {
    f.options.on_disconnect = [&] { f.pool->stop(); };
    f.run();
    f.connector.last().succeed();
    f.drain();
    f.connector.last().lose();
    f.drain();
  }
  CHECK(f.ended == error_code());
  CHECK(f.connector.attempts() == 1);
}

TEST_CASE("on_connect may destroy the owner", "[stop]") {
  pool_fixture f;
  f.options.on_connect = [&] {
    f.pool->stop();
    f.pool.reset();
  };
  f.run();
  f.connector.last().succeed();
  f.drain();
  CHECK(f.ended == error_code());
  CHECK(f.happened() == std::vector<std::string>{"make_backoff 1000..30000", "reset", "on_disconnect"});
}

TEST_CASE("a pool runs once", "[stop]") {
  pool_in_state f(pool_state::connected);
  std::optional<error_code> second;
  f.pool->async_run([&](error_code ec) { second = ec; });
  f.drain();
  CHECK(second == boost::asio::error::already_started);
  CHECK_FALSE(f.ended);
}

TEST_CASE("a pool of size 0 runs until it is stopped", "[stop]") {
  pool_fixture f(0);
  f.run();
  CHECK_FALSE(f.ended);
  CHECK(f.next().error() == errc::not_connected);
  f.pool->stop();
  f.drain();
  CHECK(f.ended == error_code());
}

TEST_CASE("cancellation of async_run is a stop", "[stop]") {
  const auto type = GENERATE(boost::asio::cancellation_type::terminal, boost::asio::cancellation_type::partial,
                             boost::asio::cancellation_type::total);
  pool_fixture f(2);
  f.make_pool();
  boost::asio::cancellation_signal signal;
  f.pool->async_run(boost::asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { f.ended = ec; }));
  f.drain();
  f.connector.attempt(0).succeed();
  f.drain();
  signal.emit(type);
  CHECK_FALSE(f.ended);
  f.drain();
  CHECK(f.ended == boost::asio::error::operation_aborted);
  CHECK(f.next().error() == errc::stopped);
  CHECK(f.connector.attempt(0).given_up);
  CHECK(f.connector.attempt(1).given_up);
}

TEST_CASE("the connected channels take turns in the order of slots", "[stop]") {
  pool_fixture f(3);
  f.run();
  for (const std::size_t slot : {2U, 0U, 1U}) f.connector.attempt(slot).succeed();
  f.drain();
  const auto take = [&](int times) {
    std::string taken;
    for (int i = 0; i < times; ++i) taken += f.next_text().back();
    return taken;
  };
  const std::string taken = take(6);
  CHECK((taken == "123123" || taken == "231231" || taken == "312312"));
  f.connector.attempt(1).lose();
  f.drain();
  const std::string others = take(4);
  CHECK((others == "1313" || others == "3131"));
  f.advance(100ms);
  f.connector.last().succeed();
  f.drain();
  CHECK(take(3).find('4') != std::string::npos);
}

TEST_CASE("async_run may be called on the context, with callbacks that call the pool", "[stop]") {
  pool_fixture f(2);
  const std::string what = GENERATE("stop in make_backoff", "get_executor in make_backoff", "create_channel throws");
  f.options.make_backoff = [&](conn_grpc::backoff_range) {
    if (what == "stop in make_backoff") f.pool->stop();
    if (what == "get_executor in make_backoff") CHECK(f.pool->executor() == f.io->get_executor());
    return std::make_unique<scripted_backoff>(f.trace, f.delays);
  };
  if (what == "create_channel throws") f.connector.throw_next();
  f.make_pool();
  boost::asio::post(*f.io, [&] { f.pool->async_run([&](error_code ec) { f.ended = ec; }); });
  f.drain();
  f.pool->stop();
  f.drain();
  CHECK(f.ended == error_code());
}

TEST_CASE("async_run completes only when no reader can be taking a channel", "[stop]") {
  pool_fixture f;
  f.run();
  f.connector.last().succeed();
  f.drain();
  const std::weak_ptr channel = *f.next();
  f.connector.last().channel.reset();
  std::optional<conn_grpc::core::read_section> preempted;
  preempted.emplace();
  f.pool->stop();
  f.drain();
  f.advance(10ms);
  CHECK_FALSE(f.ended);
  CHECK_FALSE(channel.expired());
  preempted.reset();
  f.advance(1ms);
  CHECK(f.ended == error_code());
  CHECK(channel.expired());
}

TEST_CASE("a stop takes effect between two attempts", "[stop]") {
  pool_fixture f(100);
  f.make_pool();
  f.pool->async_run([&](error_code ec) { f.ended = ec; });
  while (f.connector.attempts() < 3) f.io->poll_one();
  f.pool->stop();
  f.drain();
  CHECK(f.ended == error_code());
  CHECK(f.connector.attempts() < 6);
}

TEST_CASE("a pool whose context has been destroyed cannot be run", "[stop]") {
  pool_fixture f;
  f.make_pool();
  f.io.reset();
  f.pool->async_run([&](error_code ec) { f.ended = ec; });
  CHECK(f.ended == errc::stopped);
  CHECK(f.next().error() == errc::stopped);
}
