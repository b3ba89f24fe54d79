// SPDX-License-Identifier: BSL-1.0
// A pool with several addresses.
#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using names = std::vector<std::string>;

namespace {

struct addressed_pool : pool_fixture {
  explicit addressed_pool(names addresses, std::size_t size = 1) : pool_fixture(size) {
    options.addresses = std::move(addresses);
  }
  void set_addresses(const names& to) {
    pool->set_addresses(to);
    drain();
  }
  void connect_all() {
    for (std::size_t i = 0; i < connector.attempts(); ++i)
      if (connector.attempt(i).state == conn_grpc::runtime::connection_state::connecting)
        connector.attempt(i).succeed();
    drain();
  }
  [[nodiscard]] names channels() const {
    names all;
    for (const auto& channel : pool->status().channels) all.push_back(channel.name);
    return all;
  }
  /// The addresses of the next channels, in turn.
  names turns(std::size_t n) {
    names all;
    for (std::size_t i = 0; i < n; ++i) {
      const auto channel = next().value();
      for (std::size_t a = 0; a < connector.attempts(); ++a)
        if (connector.attempt(a).channel == channel) all.push_back(connector.attempt(a).address);
    }
    return all;
  }
};

}  // namespace

TEST_CASE("turns alternate between addresses", "[addresses]") {
  addressed_pool f({"a:1", "b:1", "c:1"}, 2);
  f.run();
  f.connect_all();
  CHECK(f.channels() == names{"pool/a:1/0", "pool/b:1/0", "pool/c:1/0", "pool/a:1/1", "pool/b:1/1", "pool/c:1/1"});
  CHECK(f.turns(6) == names{"a:1", "b:1", "c:1", "a:1", "b:1", "c:1"});
}

TEST_CASE("the status has each address", "[addresses]") {
  addressed_pool f({"a:1", "b:1"}, 2);
  f.run();
  f.connector.attempt(0).succeed();
  f.connector.attempt(1).fail("Connection refused");
  f.drain();
  const auto now = f.pool->status();
  CHECK(now.expected_size == 4);
  CHECK(now.current_size == 1);
  REQUIRE(now.addresses.size() == 2);
  CHECK(now.addresses[0].address == "a:1");
  CHECK(now.addresses[0].expected_size == 2);
  CHECK(now.addresses[0].current_size == 1);
  CHECK(now.addresses[0].last_error.empty());
  CHECK(now.addresses[1].current_size == 0);
  CHECK(now.addresses[1].last_error == "Connection refused");
}

TEST_CASE("an address that stays keeps its connections", "[addresses]") {
  addressed_pool f({"a:1", "b:1"});
  f.run();
  f.connect_all();
  f.set_addresses({"c:1", "b:1"});
  REQUIRE(f.connector.attempts() == 3);
  CHECK(f.connector.last().address == "c:1");
  CHECK_FALSE(f.connector.attempt(0).given_up);
  CHECK(f.turns(2) == names{"a:1", "b:1"});

  f.connect_all();
  CHECK(f.connector.attempt(0).given_up);
  CHECK_FALSE(f.connector.attempt(1).given_up);
  CHECK(f.turns(4) == names{"b:1", "c:1", "b:1", "c:1"});
  CHECK(f.channels() == names{"pool/b:1/0", "pool/c:1/0"});
  CHECK(f.pool->status().expected_size == 2);
}

TEST_CASE("addresses that went stay while no other is connected", "[addresses]") {
  addressed_pool f({"a:1"});
  f.run();
  f.connect_all();
  f.set_addresses({"b:1"});
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.turns(1) == names{"a:1"});
  f.advance(100ms);
  f.connect_all();
  CHECK(f.turns(2) == names{"b:1", "b:1"});
  CHECK(f.connector.attempt(0).given_up);
}

TEST_CASE("the same list again does not end the wait for a connection", "[addresses]") {
  addressed_pool f({"a:1"});
  f.run();
  f.connect_all();
  f.set_addresses({"b:1"});
  f.connector.last().fail("Connection refused");
  f.drain();
  f.set_addresses({"b:1"});
  CHECK(f.turns(1) == names{"a:1"});
  f.advance(100ms);
  f.connect_all();
  CHECK(f.turns(1) == names{"b:1"});
  CHECK(f.connector.attempt(0).given_up);
}

TEST_CASE("an address that fails does not keep those that went, when another one is connected", "[addresses]") {
  addressed_pool f({"a:1", "b:1"});
  f.run();
  f.connect_all();
  f.set_addresses({"b:1", "c:1"});
  f.connector.last().fail("Connection refused");
  f.drain();
  CHECK(f.turns(2) == names{"b:1", "b:1"});
  CHECK(f.connector.attempt(0).given_up);
}

TEST_CASE("an address that comes back before it was withdrawn keeps its connections", "[addresses]") {
  addressed_pool f({"a:1"});
  f.run();
  f.connect_all();
  f.set_addresses({"b:1"});
  f.set_addresses({"a:1"});
  CHECK_FALSE(f.connector.attempt(0).given_up);
  CHECK(f.channels() == names{"pool/a:1/0"});
  CHECK(f.turns(2) == names{"a:1", "a:1"});
}

TEST_CASE("without new addresses the others are withdrawn at once", "[addresses]") {
  addressed_pool f({"a:1", "b:1"});
  f.run();
  f.connect_all();
  SECTION("one stays") {
    f.set_addresses({"b:1"});
    CHECK(f.turns(1) == names{"b:1"});
  }
  SECTION("none stays") {
    f.set_addresses({});
    CHECK(f.next().error() == errc::not_connected);
    CHECK(f.next_unless_waiting().error() == boost::asio::error::would_block);
    CHECK(f.text_of_get() ==
          "conn_grpc pool pool: it has no addresses, or its size is 0: no channel is connected [conn_grpc:1]");
    CHECK(f.channels().empty());
    CHECK(f.pool->status().expected_size == 0);
  }
  CHECK(f.connector.attempt(0).given_up);
}

TEST_CASE("an address that occurs twice counts once", "[addresses]") {
  addressed_pool f({"a:1", "a:1"});
  f.run();
  CHECK(f.connector.attempts() == 1);
  f.set_addresses({"a:1", "b:1", "b:1"});
  CHECK(f.connector.attempts() == 2);
}

TEST_CASE("addresses may be set before async_run, and after stop without effect", "[addresses]") {
  addressed_pool f({"a:1"});
  f.make_pool();
  f.set_addresses({"b:1"});
  CHECK(f.channels() == names{"pool/b:1/0"});
  f.run();
  REQUIRE(f.connector.attempts() == 1);
  CHECK(f.connector.last().address == "b:1");
  f.pool->stop();
  f.drain();
  f.set_addresses({"c:1"});
  CHECK(f.connector.attempts() == 1);
  CHECK(f.ended == conn_grpc::error_code());
}

TEST_CASE("a pool with one plain address keeps plain names", "[addresses]") {
  addressed_pool f({}, 2);
  f.run();
  CHECK(f.channels() == names{"pool/0", "pool/1"});
  f.set_addresses({"host:1", "b:1"});
  CHECK(f.channels() == names{"pool/0", "pool/b:1/0", "pool/1", "pool/b:1/1"});
  CHECK(f.connector.attempts() == 4);
}

TEST_CASE("stop ends everything while the addresses change", "[addresses]") {
  addressed_pool f({"a:1", "b:1"}, 2);
  f.run();
  f.connect_all();
  f.set_addresses({"c:1"});
  f.pool->stop();
  f.drain();
  CHECK(f.ended == conn_grpc::error_code());
  for (std::size_t i = 0; i < f.connector.attempts(); ++i) CHECK(f.connector.attempt(i).given_up);
}
