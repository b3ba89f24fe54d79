// SPDX-License-Identifier: BSL-1.0
// Access by name.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::error_code;
using pool_type = pool_fixture::pool_type;

TEST_CASE("a pool is found by its name from async_run to stop", "[names]") {
  pool_fixture f;
  f.make_pool();
  CHECK_FALSE(pool_type::find(*f.io, "pool"));
  f.run();
  CHECK(pool_type::find(*f.io, "pool") == f.pool);
  CHECK(pool_type::find(*f.io, "pool") == f.pool);  // as remembered by this thread
  CHECK_FALSE(pool_type::find(*f.io, "pol"));
  f.pool->stop();
  CHECK_FALSE(pool_type::find(*f.io, "pool"));
}

TEST_CASE("a second pool of the same name is refused, and may be run once the first has been stopped", "[names]") {
  pool_fixture f;
  f.run();
  const auto first = f.pool;
  f.make_pool();
  const auto second = std::exchange(f.pool, nullptr);
  error_code refused;
  second->async_run([&](error_code ec) { refused = ec; });
  f.drain();
  CHECK(refused == errc::name_taken);
  CHECK(f.lines().find("was not started: the name is taken") != std::string::npos);
  CHECK(second->pick<conn_grpc::runtime::if_none::fail>().error() == errc::not_started);
  CHECK(f.connector.attempts() == 1);
  CHECK(pool_type::find(*f.io, "pool") == first);

  first->stop();
  refused = {};
  second->async_run([&](error_code ec) { refused = ec; });
  f.drain();
  CHECK_FALSE(refused);
  CHECK(f.ended == error_code());
  CHECK(pool_type::find(*f.io, "pool") == second);
  second->stop();
  f.drain();
}

TEST_CASE("a name is free when its pool has ended, in any way", "[names]") {
  const std::string how = GENERATE("destroyed", "cancelled", "restart_limit", "never ran");
  CAPTURE(how);
  pool_fixture f;
  f.options.max_restarts = 0;
  if (how == "restart_limit") f.options.on_connect = [] { throw 1; };
  if (how == "cancelled") {
    boost::asio::cancellation_signal signal;
    f.make_pool();
    f.pool->async_run(boost::asio::bind_cancellation_slot(signal.slot(), [](error_code) {}));
    f.drain();
    signal.emit(boost::asio::cancellation_type::total);
  } else if (how != "never ran") {
    f.run();
    if (how == "restart_limit") f.connector.last().succeed();
  }
  f.drain();
  if (how == "destroyed") f.pool->stop(), f.pool.reset();
  CHECK_FALSE(pool_type::find(*f.io, "pool"));
  f.options.on_connect = [] {};
  f.make_pool();
  std::optional<error_code> successor_ended;
  f.pool->async_run([&](error_code ec) { successor_ended = ec; });
  f.drain();
  CHECK_FALSE(successor_ended);
  CHECK(pool_type::find(*f.io, "pool") == f.pool);
}

TEST_CASE("contexts do not see each other's names", "[names]") {
  pool_fixture f;
  f.run();
  boost::asio::io_context other;
  CHECK_FALSE(pool_type::find(other, "pool"));
  f.make_pool(other.get_executor());
  bool ended = false;
  f.pool->async_run([&](error_code) { ended = true; });
  other.poll();
  CHECK_FALSE(ended);
  CHECK(pool_type::find(other, "pool") == f.pool);
  CHECK(pool_type::find(*f.io, "pool") != f.pool);
  f.pool->stop();
  other.poll();
}

TEST_CASE("a pool without a name cannot be found, and takes no name", "[names]") {
  pool_fixture f;
  f.options.name.clear();
  f.run();
  f.make_pool();
  const auto second = f.pool;
  f.run();
  CHECK_FALSE(f.ended);
  CHECK_FALSE(pool_type::find(*f.io, ""));
}

TEST_CASE("one instance per type and context", "[names]") {
  pool_fixture f;
  f.options.type_key = "type";
  f.run();
  CHECK(pool_type::find(*f.io, "type") == f.pool);
  f.options.name = "another name";
  f.make_pool();
  f.run();
  CHECK(f.ended == boost::asio::error::already_started);
  CHECK_FALSE(pool_type::find(*f.io, "another name"));
}

TEST_CASE("a pool whose name is taken releases its type key", "[names]") {
  pool_fixture f;
  f.run();
  const auto first = f.pool;
  f.options.type_key = "type";
  f.make_pool();
  f.run();
  CHECK(f.ended == errc::name_taken);
  CHECK_FALSE(pool_type::find(*f.io, "type"));
}

TEST_CASE("a name is free when its context has been destroyed", "[names]") {
  pool_fixture f;
  f.make_pool();
  f.pool->async_run([](error_code) {});
  if (GENERATE(true, false)) f.drain();
  CHECK(pool_type::find(*f.io, "pool") == f.pool);
  f.io.reset();
  CHECK(f.next().error() == errc::stopped);
  f.io = std::make_shared<boost::asio::io_context>();
  CHECK_FALSE(pool_type::find(*f.io, "pool"));
  const auto old = std::exchange(f.pool, nullptr);
  f.run();
  CHECK(pool_type::find(*f.io, "pool") == f.pool);
}
