// SPDX-License-Identifier: BSL-1.0
#include <grpcpp/create_channel.h>
#include <grpcpp/grpcpp.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/observer.hpp"
#include "support/recorded_log.hpp"
#include "support/server_process.hpp"

using namespace std::chrono_literals;
using conn_grpc::channel_options;
using conn_grpc::pool_options;

namespace {

std::string refusal(const std::function<void()>& make) {
  try {
    make();
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    return e.what();
  }
  return "accepted";
}

/// The arguments that create_channel receives from a channel with these options: the
/// values of each argument, in order.
std::multimap<std::string, std::string> arguments_given(channel_options options) {
  std::multimap<std::string, std::string> given;
  options.address = "unix:/nowhere";
  options.create_channel = [&](const std::string& address, const auto& credentials,
                               const grpc::ChannelArguments& arguments) {
    CHECK(address == "unix:/nowhere");
    const auto copy = arguments;  // gRPC checks that a list is in order when it is copied
    const auto view = copy.c_channel_args();
    for (const grpc_arg& a : std::span(view.args, view.num_args)) {
      const auto value = a.type == GRPC_ARG_INTEGER  ? std::to_string(a.value.integer)
                         : a.type == GRPC_ARG_STRING ? std::string(a.value.string)
                                                     : "pointer";
      given.emplace(a.key, value);
    }
    return grpc::CreateCustomChannel(address, credentials, arguments);
  };
  boost::asio::io_context io;
  conn_grpc::channel channel(io, options);
  channel.async_run([](conn_grpc::error_code) {});
  io.poll();
  return given;
}

}  // namespace

TEST_CASE("create_channel gets the last value of each of the user's arguments, and the library's arguments",
          "[options]") {
  channel_options options{.connect_timeout = 1'234ms};
  options.arguments.SetInt("number", 1);
  options.arguments.SetString("text", "first");
  options.arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 0);
  options.arguments.SetString(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, "no");
  options.arguments.SetString("number", "two");
  options.arguments.SetString("text", "last");
  options.arguments.SetInt("number", 3);
  options.arguments.SetUserAgentPrefix("app/1");
  const auto given = arguments_given(options);
  CHECK(given.size() == 8);
  CHECK(given.find("number")->second == "3");
  CHECK(given.find("text")->second == "last");
  CHECK(given.find(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL)->second == "1");
  CHECK(given.find(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS)->second == "1234");
  CHECK(given.find(GRPC_ARG_PRIMARY_USER_AGENT_STRING)->second == "app/1 grpc-c++/" + grpc::Version());
}

TEST_CASE("create_channel gets the exact credentials, or insecure ones", "[options]") {
  const auto mine = grpc::InsecureChannelCredentials();
  boost::asio::io_context io;
  std::shared_ptr<grpc::ChannelCredentials> given;
  const bool set = GENERATE(false, true);
  conn_grpc::channel channel(io, {.address = "unix:/nowhere",
                                  .credentials = set ? mine : nullptr,
                                  .create_channel = [&](const auto& address, const auto& credentials, const auto& all) {
                                    given = credentials;
                                    return grpc::CreateCustomChannel(address, credentials, all);
                                  }});
  channel.async_run([](conn_grpc::error_code) {});
  io.poll();
  REQUIRE(given);
  CHECK((given == mine) == set);
}

TEST_CASE("the channels of a pool share the user's functions and their state", "[options]") {
  const conn_grpc::test::server_process server(conn_grpc::test::greeter_server(), "127.0.0.1:0");
  boost::asio::io_context io;
  conn_grpc::test::observer seen;
  std::vector<int> created, backoffs, connected, disconnected;
  auto options = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())});
  options.create_channel = [&, calls = 0](const auto& address, const auto& credentials, const auto& all) mutable {
    created.push_back(++calls);
    return grpc::CreateCustomChannel(address, credentials, all);
  };
  options.make_backoff = [&, calls = 0](conn_grpc::backoff_range range) mutable {
    backoffs.push_back(++calls);
    return conn_grpc::exponential_backoff(range);
  };
  options.on_connect = [&, calls = 0, next = options.on_connect]() mutable { connected.push_back(++calls), next(); };
  options.on_disconnect = [&, calls = 0]() mutable { disconnected.push_back(++calls); };
  conn_grpc::pool pool(io, {.pool_size = 4, .channel = options});
  pool.async_run([](conn_grpc::error_code) {});
  conn_grpc::test::run(io, [&]() -> boost::asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 4; });
    pool.stop();
  }());
  io.restart();
  io.run_for(30s);
  const std::vector<int> in_turn{1, 2, 3, 4};
  CHECK(created == in_turn);
  CHECK(backoffs == in_turn);
  CHECK(connected == in_turn);
  CHECK(disconnected == in_turn);
}

TEST_CASE("invalid options are rejected with the name of the field", "[options]") {
  boost::asio::io_context io;
  const auto [change, field] = GENERATE(table<std::function<void(channel_options&)>, std::string>({
      {[](auto& o) { o.address.clear(); }, "address: must not be empty"},
      {[](auto& o) { o.backoff = {2ms, 1ms}; }, "backoff: min must not be above max"},
      {[](auto& o) { o.backoff.min = 0ms; }, "backoff.min: must be above zero"},
      {[](auto& o) { o.backoff.max = -1ms; }, "backoff.max: must be above zero"},
      {[](auto& o) { o.connect_timeout = 0ms; }, "connect_timeout: must be above zero"},
      {[](auto& o) { o.connect_timeout = -5ms; }, "connect_timeout: must be above zero, is -5 ms"},
      {[](auto& o) { o.stable_after = 0ms; }, "stable_after: must be above zero"},
      {[](auto& o) { o.stable_after = -1ms; }, "stable_after: must be above zero"},
      {[](auto& o) { o.restart_window = 0ms; }, "restart_window: must be above zero"},
      {[](auto& o) { o.max_connection_age = -1ms; }, "max_connection_age: must not be below zero, is -1 ms"},
  }));
  channel_options options{.address = "localhost:1"};
  change(options);
  CHECK(refusal([&] { conn_grpc::channel(io, options); }).starts_with(field));
  CHECK(refusal([&] { conn_grpc::pool(io, {.channel = options}); }).starts_with("channel." + field));
}

TEST_CASE("invalid options of a pool are rejected with the name of the field", "[options]") {
  boost::asio::io_context io;
  const channel_options good{.address = "localhost:1"};
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.channel = good, .status_interval = 0ms});
        }).starts_with("status_interval: must be above zero"));
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.channel = good, .status_interval = -1ms});
        }).starts_with("status_interval: must be above zero"));
  CHECK(refusal([&] {
          conn_grpc::pool(boost::asio::any_io_executor(), {.channel = good});
        }).starts_with("executor: must not be empty"));
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.pool_size = 100'001, .channel = good});
        }).starts_with("pool_size: must not be above 100000"));
  CHECK(refusal([&] { conn_grpc::pool(io, {.pool_size = 0, .channel = good}); }) == "accepted");
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.addresses = {"localhost:1", ""}});
        }).starts_with("addresses[1]: must not be empty"));
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.pool_size = 50'001, .addresses = {"localhost:1", "localhost:2"}});
        }).starts_with("addresses: must not have more than 100000 channels"));
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.channel = good, .resolve_interval = -1ms});
        }).starts_with("resolve_interval: must not be below zero, is -1 ms"));
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.channel = good, .addresses = {"a:1"}, .resolve_interval = 1s});
        }).starts_with("resolve_interval: addresses must be empty then"));
  CHECK(refusal([&] { conn_grpc::pool(io, {.addresses = {"localhost:1"}}); }) == "accepted");
  conn_grpc::pool pool(io, {.channel = good});
  CHECK(refusal([&] { pool.set_addresses({"localhost:70000"}); }).starts_with("addresses[0]: the port must be"));
  CHECK(refusal([&] { pool.set_addresses({}); }) == "accepted");
}

TEST_CASE("keepalive pings that a server does not allow by default cause a warning", "[options]") {
  recorded_log log;
  channel_options options{.address = "localhost:1"};
  options.logger = log.logger();
  boost::asio::io_context io;
  const auto warns = [&] {
    conn_grpc::channel(io, options);
    return log.take().find("too_many_pings") != std::string::npos;
  };
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  CHECK_FALSE(warns());  // gRPC stops after two pings without data
  options.arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  CHECK(warns());
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 300'000);
  CHECK_FALSE(warns());
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  CHECK(warns());
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 7'200'000);
  CHECK_FALSE(warns());
}

TEST_CASE("a pool that resolves its name needs host:port", "[options]") {
  boost::asio::io_context io;
  const auto refusal_of = [&](const std::string& address) {
    return refusal([&] { conn_grpc::pool(io, {.channel = {.address = address}, .resolve_interval = 1s}); });
  };
  CHECK(refusal_of("dns:///localhost:1") == "accepted");
  CHECK(refusal_of("unix:/run/app.sock")
            .starts_with("channel.address: with resolve_interval it must be host:port or dns:///host:port, is unix:"));
  CHECK(refusal_of("localhost:99999").starts_with("channel.address: the port must be from 0 to 65535"));
  CHECK(refusal_of("").starts_with("channel.address: must not be empty"));
}

TEST_CASE("each channel of a pool that resolves has the authority of the name, unless the user set one", "[options]") {
  boost::asio::io_context io;
  const auto authority_of = [&](conn_grpc::pool_options options) {
    std::string authority = "none";
    options.channel.create_channel = [&](const auto& address, const auto& credentials, const auto& arguments) {
      const auto view = arguments.c_channel_args();
      for (std::size_t i = view.num_args; i-- > 0;)
        if (view.args[i].key == std::string_view(GRPC_ARG_DEFAULT_AUTHORITY)) authority = view.args[i].value.string;
      io.stop();
      return grpc::CreateCustomChannel(address, credentials, arguments);
    };
    conn_grpc::pool pool(io, options);
    pool.async_run([](conn_grpc::error_code) {});
    io.restart();
    io.run_for(30s);
    return authority;
  };
  // An address and not a name, because a bare machine does not resolve localhost.
  CHECK(authority_of({.channel = {.address = "127.0.0.1:1"}}) == "none");
  CHECK(authority_of({.channel = {.address = "127.0.0.1:1"}, .resolve_interval = 1h}) == "127.0.0.1:1");
  CHECK(authority_of({.channel = {.address = "dns:///127.0.0.1:http"}, .resolve_interval = 1h}) == "127.0.0.1:http");
  conn_grpc::pool_options own{.channel = {.address = "127.0.0.1:1"}, .resolve_interval = 1h};
  own.channel.arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "greeter");
  CHECK(authority_of(own) == "greeter");
  own.channel.arguments = {};
  own.channel.arguments.SetSslTargetNameOverride("greeter");
  CHECK(authority_of(own) == "none");
}

TEST_CASE("a context without locks is rejected, because gRPC's thread posts to it", "[options]") {
  const channel_options good{.address = "localhost:1"};
  boost::asio::io_context unsafe(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
  const auto refused = "executor: its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE)";
  CHECK(refusal([&] { conn_grpc::pool(unsafe, {.channel = good}); }).starts_with(refused));
  CHECK(refusal([&] { conn_grpc::channel(boost::asio::make_strand(unsafe), good); }).starts_with(refused));

  boost::asio::io_context unsafe_io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  boost::asio::io_context one_thread(1);
  boost::asio::thread_pool pool(1);
  CHECK(refusal([&] { conn_grpc::channel(unsafe_io, good); }) == "accepted");
  CHECK(refusal([&] { conn_grpc::channel(one_thread, good); }) == "accepted");
  CHECK(refusal([&] { conn_grpc::channel(pool, good); }) == "accepted");
  CHECK(refusal([&] { conn_grpc::channel(boost::asio::system_executor(), good); }) == "accepted");
}
