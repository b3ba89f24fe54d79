// SPDX-License-Identifier: BSL-1.0
// Access by name.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include "support/catch.hpp"
#include "support/group_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::error_code;
using group_type = group_fixture::group_type;

TEST_CASE("a group is found by its name from async_run to stop", "[names]") {
  group_fixture f;
  f.make_group();
  CHECK_FALSE(group_type::find(*f.io, "pool"));
  f.run();
  CHECK(group_type::find(*f.io, "pool") == f.group);
  CHECK(group_type::find(*f.io, "pool") == f.group);  // as remembered by this thread
  CHECK_FALSE(group_type::find(*f.io, "pol"));
  f.group->stop();
  CHECK_FALSE(group_type::find(*f.io, "pool"));
}

TEST_CASE("a second of the same name is refused, and may be run once the first has been stopped", "[names]") {
  group_fixture f;
  f.run();
  const auto first = f.group;
  f.make_group();
  const auto second = std::exchange(f.group, nullptr);
  error_code refused;
  second->async_run([&](error_code ec) { refused = ec; });
  f.drain();
  CHECK(refused == errc::name_taken);
  CHECK(f.lines().find("was not started: the name is taken") != std::string::npos);
  CHECK(second->next().error() == errc::not_started);
  CHECK(f.connector.attempts() == 1);
  CHECK(group_type::find(*f.io, "pool") == first);

  first->stop();
  refused = {};
  second->async_run([&](error_code ec) { refused = ec; });
  f.drain();
  CHECK_FALSE(refused);
  CHECK(f.ended == error_code());
  CHECK(group_type::find(*f.io, "pool") == second);
  second->stop();
  f.drain();
}

TEST_CASE("a name is free when its group has ended in any way", "[names]") {
  const std::string how = GENERATE("destroyed", "cancelled", "restart_limit", "never ran");
  CAPTURE(how);
  group_fixture f;
  f.whole.max_restarts = 0;
  if (how == "restart_limit") f.settings.on_connect = [] { throw 1; };
  if (how == "cancelled") {
    boost::asio::cancellation_signal signal;
    f.make_group();
    f.group->async_run(boost::asio::bind_cancellation_slot(signal.slot(), [](error_code) {}));
    f.drain();
    signal.emit(boost::asio::cancellation_type::total);
  } else if (how != "never ran") {
    f.run();
    if (how == "restart_limit") f.connector.last().succeed();
  }
  f.drain();
  if (how == "destroyed") f.group->stop(), f.group.reset();
  CHECK_FALSE(group_type::find(*f.io, "pool"));
  f.settings.on_connect = [] {};
  f.make_group();
  std::optional<error_code> heir_ended;
  f.group->async_run([&](error_code ec) { heir_ended = ec; });
  f.drain();
  CHECK_FALSE(heir_ended);
  CHECK(group_type::find(*f.io, "pool") == f.group);
}

TEST_CASE("contexts do not see each other's names", "[names]") {
  group_fixture f;
  f.run();
  boost::asio::io_context other;
  CHECK_FALSE(group_type::find(other, "pool"));
  f.make_group(other.get_executor());
  bool ended = false;
  f.group->async_run([&](error_code) { ended = true; });
  other.poll();
  CHECK_FALSE(ended);
  CHECK(group_type::find(other, "pool") == f.group);
  CHECK(group_type::find(*f.io, "pool") != f.group);
  f.group->stop();
  other.poll();
}

TEST_CASE("without a name there is nothing to be found, nor taken", "[names]") {
  group_fixture f;
  f.whole.name.clear();
  f.run();
  f.make_group();
  const auto second = f.group;
  f.run();
  CHECK_FALSE(f.ended);
  CHECK_FALSE(group_type::find(*f.io, ""));
}

TEST_CASE("one instance per type and context", "[names]") {
  group_fixture f;
  f.whole.type_key = "type";
  f.run();
  CHECK(group_type::find(*f.io, "type") == f.group);
  f.whole.name = "another name";
  f.make_group();
  f.run();
  CHECK(f.ended == boost::asio::error::already_started);
  CHECK_FALSE(group_type::find(*f.io, "another name"));
}

TEST_CASE("a name that is taken frees the type again", "[names]") {
  group_fixture f;
  f.run();
  const auto first = f.group;
  f.whole.type_key = "type";
  f.make_group();
  f.run();
  CHECK(f.ended == errc::name_taken);
  CHECK_FALSE(group_type::find(*f.io, "type"));
}

TEST_CASE("a name goes with its context", "[names]") {
  group_fixture f;
  f.make_group();
  f.group->async_run([](error_code) {});
  if (GENERATE(true, false)) f.drain();
  CHECK(group_type::find(*f.io, "pool") == f.group);
  f.io.reset();
  CHECK(f.group->next().error() == errc::stopped);
  f.io = std::make_shared<boost::asio::io_context>();
  CHECK_FALSE(group_type::find(*f.io, "pool"));
  const auto old = std::exchange(f.group, nullptr);
  f.run();
  CHECK(group_type::find(*f.io, "pool") == f.group);
}
