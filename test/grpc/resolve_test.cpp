// SPDX-License-Identifier: BSL-1.0
// Pools that resolve their names, against real servers in other processes.
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/tls.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/late_server.hpp"
#include "support/observer.hpp"
#include "support/scripted_name.hpp"
#include "support/server_process.hpp"

using namespace conn_grpc::test;
using conn_grpc::errc;
using conn_grpc::pool_options;

namespace {

using texts = std::vector<std::string>;

std::string with_port(const std::string& host, const server_process& server) {
  return host + ":" + std::to_string(server.port());
}

texts addresses_of(const conn_grpc::pool& pool) {
  texts all;
  for (const auto& address : pool.status().addresses) all.push_back(address.address);
  return all;
}

/// A removed address is there until its channels have ended.
asio::awaitable<void> until_addresses_are(const conn_grpc::pool& pool, const texts& expected) {
  while (addresses_of(pool) != expected) co_await asio::post(asio::use_awaitable);
}

asio::awaitable<std::string> exception_of_get(conn_grpc::pool& pool, std::chrono::milliseconds timeout) {
  std::string text = "a channel";
  try {
    (void)co_await pool.get_channel(timeout);
  } catch (const boost::system::system_error& e) {
    text = e.what();
  }
  co_return text;
}

}  // namespace

// Not localhost, which a bare machine does not resolve.
TEST_CASE("a pool connects to each address of a name", "[resolve]") {
  const server_process server(greeter_server(), "0.0.0.0:0");
  const std::string port = std::to_string(server.port());
  const scripted_name name("each.test", {"127.0.0.1", "127.0.0.2"});
  const texts expected{"ipv4:127.0.0.1:" + port, "ipv4:127.0.0.2:" + port};
  const auto all = static_cast<int>(2 * expected.size());
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(
      io, {.pool_size = 2, .channel = seen.watch({.address = "each.test:" + port}), .resolve_interval = 1h});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == all; });
    CHECK(addresses_of(pool) == expected);
    CHECK(pool.status().channels.front().name == "/" + expected.front() + "/0");
    std::set<std::string> peers;
    for (int i = 0; i < all; ++i) {
      const auto channel = co_await pool.get_channel();
      const auto answer = co_await greet(channel);
      CHECK(answer.status.ok());
      CHECK(answer.reply.authority() == "each.test:" + port);
      peers.insert(answer.reply.peer());
    }
    CHECK(peers.size() == static_cast<std::size_t>(all));
    CHECK(seen.waits == 0);
  }());
}

TEST_CASE("an IPv6 address may stand in place of the name", "[resolve]") {
  const server_process server(greeter_server(), "[::1]:0");
  const auto address = with_port("[::1]", server);
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = address}), .resolve_interval = 1h});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    CHECK(addresses_of(pool) == texts{"ipv6:" + address});
  }());
}

TEST_CASE("the reason why a name cannot be resolved is in the exception of a get", "[resolve]") {
  asio::io_context io;
  // The system refuses this name without asking a server.
  conn_grpc::pool pool(io, {.name = "p", .channel = {.address = "no..name:50051"}, .resolve_interval = 1h});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    std::string text;
    // The first look-up may last longer than the first get.
    do {
      text = co_await exception_of_get(pool, 10ms);
    } while (text.find("has not ended yet") != std::string::npos);
    CHECK_THAT(text, has_text("conn_grpc pool p: no..name:50051 cannot be resolved: ") &&
                         has_text("no channel is connected [conn_grpc:1]"));
    const auto status = pool.status();
    REQUIRE(status.addresses.size() == 1);
    CHECK(status.addresses[0].address == "no..name:50051");
    CHECK_THAT(status.addresses[0].last_error, has_text("no..name:50051 cannot be resolved: "));
    CHECK_THAT(text, has_text(status.addresses[0].last_error));
    CHECK(status.channels.empty());
  }());
}

TEST_CASE("a get waits until the name can be resolved and the server is connected", "[resolve]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  scripted_name backend("backend.test", {});
  asio::io_context io;
  conn_grpc::pool pool(io, {.channel = {.address = with_port(backend.name(), server)}, .resolve_interval = 10ms});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    while (backend.look_ups() < 3) (void)co_await exception_of_get(pool, 5ms);
    asio::post(io, [&] { backend.set({"127.0.0.1"}); });
    const auto channel = co_await pool.get_channel(20s);
    CHECK(is_ready(channel));
  }());
}

TEST_CASE("the name moves from one server to another, and no get fails", "[resolve]") {
  const server_process first(greeter_server(), "127.0.0.1:0");
  const server_process second(greeter_server(), with_port("127.0.0.2", first));
  scripted_name backend("backend.test", {"127.0.0.1"});
  asio::io_context io;
  observer seen;
  pool_options options{.channel = seen.watch({.address = with_port(backend.name(), first)}), .resolve_interval = 10ms};
  conn_grpc::pool pool(io, options);
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    backend.set({"127.0.0.2"});
    while (seen.disconnects == 0) {
      const auto channel = co_await pool.get_channel();
      const auto answer = co_await greet(channel);
      CHECK(answer.status.ok());
    }
    const texts moved{"ipv4:" + with_port("127.0.0.2", first)};
    co_await until_addresses_are(pool, moved);
    CHECK(seen.connects == 2);
  }());
}

TEST_CASE("the name is resolved again when a server is lost", "[resolve]") {
  server_process first(greeter_server(), "127.0.0.1:0");
  const auto port = with_port("", first);
  const server_process second(greeter_server(), "127.0.0.2" + port);
  scripted_name backend("backend.test", {"127.0.0.1"});
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.channel = seen.watch({.address = backend.name() + port}), .resolve_interval = 1h});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 1; });
    backend.set({"127.0.0.2"});
    SECTION("by a crash") { first.kill(); }
    SECTION("by an announced shutdown") { first.shut_down(); }
    co_await seen.until([&] { return seen.connects == 2; });
    CHECK(addresses_of(pool).back() == "ipv4:127.0.0.2" + port);
  }());
}

TEST_CASE("nothing waits for a look-up that hangs", "[resolve]") {
  scripted_name backend("backend.test", {"127.0.0.1"});
  backend.hang();
  auto io = std::make_unique<asio::io_context>();
  auto pool = std::make_unique<conn_grpc::pool>(
      *io, pool_options{.channel = {.address = backend.name() + ":1"}, .resolve_interval = 1h});
  bool ended = false;
  pool->async_run([&](conn_grpc::error_code) { ended = true; });
  io->poll();
  backend.wait_until_it_hangs();
  SECTION("stop and io_context::run") {
    pool->stop();
    io->restart();
    io->run();  // would hang: the look-up ends after this test case has begun to end
    CHECK(ended);
    pool.reset();
    io.reset();
  }
  SECTION("destruction of the pool") {
    pool.reset();
    io.reset();
  }
  SECTION("destruction of the context") {
    io.reset();
    pool.reset();
  }
  CHECK(backend.look_ups() == 1);
}

TEST_CASE("a server's certificate is verified for the name, not for the address", "[resolve]") {
  certificates made;
  made.issue("for-name", {.dns = "backend.test"});
  made.issue("for-ip", {});
  const scripted_name backend("backend.test", {"127.0.0.1"});
  const auto outcome_with = [&](const std::string& certificate, const std::string& override_name = {}) {
    const server_process server(greeter_server(), "127.0.0.1:0",
                                {"--tls", made.chain(certificate), made.key(certificate)});
    conn_grpc::channel_options options{.address = with_port(backend.name(), server),
                                       .credentials = conn_grpc::tls_credentials({.root_certs = made.chain("ca")})};
    if (!override_name.empty()) options.arguments.SetSslTargetNameOverride(override_name);
    asio::io_context io;
    observer seen;
    seen.delay = [](int) { return 1h; };
    conn_grpc::pool pool(io, {.channel = seen.watch(options), .resolve_interval = 1h});
    pool.async_run([](conn_grpc::error_code) {});
    std::string outcome;
    run(io, [&]() -> asio::awaitable<void> {
      co_await seen.until([&] { return seen.connects + seen.waits > 0; });
      outcome = pool.status().channels.front().last_error;
      if (seen.connects == 0) co_return;
      const auto channel = co_await pool.get_channel();
      const auto answer = co_await greet(channel);
      outcome = answer.status.ok() ? "authority " + answer.reply.authority() : answer.status.error_message();
    }());
    return outcome;
  };
  CHECK_THAT(outcome_with("for-name"), has_text("authority backend.test:"));
  CHECK_THAT(outcome_with("for-ip"), has_text("Hostname Verification Check failed"));
  CHECK(outcome_with("for-ip", "127.0.0.1") == "authority 127.0.0.1");
}
