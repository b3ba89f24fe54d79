// SPDX-License-Identifier: BSL-1.0
// Loading options: from the example in docs/configuration.md to a connected pool.
#include <grpcpp/support/status.h>

#include <boost/system/system_error.hpp>
#include <conn_grpc/configuration.hpp>
#include <conn_grpc/pool.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/environment.hpp"
#include "support/environment_variable.hpp"
#include "support/greeting.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"
#include "support/temporary_folder.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_options;
using conn_grpc::load_channel_options;
using conn_grpc::load_pool_options;
using conn_grpc::pool_options;

namespace {

/// The values of an argument, values for each time it was set: "5", "\"text\"".
std::vector<std::string> values_of(const channel_options& options, std::string_view name) {
  const grpc_channel_args view = options.arguments.c_channel_args();
  std::vector<std::string> found;
  for (const grpc_arg& argument : std::span(view.args, view.num_args)) {
    if (argument.key != name) continue;
    found.push_back(argument.type == GRPC_ARG_INTEGER ? std::to_string(argument.value.integer)
                                                      : '"' + std::string(argument.value.string) + '"');
  }
  return found;
}

using values = std::vector<std::string>;

pool_options load(std::string_view json) {
  const temporary_folder folder;
  return load_pool_options(folder.write("pools.json", json), "p");
}

std::string documentation() {
  const char* path = std::getenv("CONFIGURATION_MD");
  REQUIRE(path != nullptr);
  std::ifstream file(path);
  REQUIRE(file.is_open());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string example() {
  constexpr std::string_view fence = "```json\n";
  const auto text = documentation();
  const auto start = text.find(fence) + fence.size();
  return text.substr(start, text.find("```", start) - start);
}

}  // namespace

TEST_CASE("fields that the file leaves out have the defaults of options.hpp", "[configuration]") {
  const pool_options defaults;
  const auto options = load(R"({"pools": {"p": {}}})");
  CHECK(options.name == "p");
  CHECK(options.pool_size == defaults.pool_size);
  CHECK(options.status_interval == defaults.status_interval);
  CHECK(options.max_waiters == defaults.max_waiters);
  CHECK(options.addresses.empty());
  CHECK(options.max_connecting == defaults.max_connecting);
  CHECK(options.resolve_interval == defaults.resolve_interval);
  CHECK(options.pick == defaults.pick);
  CHECK(options.max_in_flight == defaults.max_in_flight);
  CHECK(options.max_size == defaults.max_size);
  CHECK(options.suspect_after == defaults.suspect_after);

  CHECK(options.channel.name.empty());
  CHECK(options.channel.address.empty());
  CHECK(options.channel.credentials == nullptr);
  CHECK(options.channel.backoff.min == defaults.channel.backoff.min);
  CHECK(options.channel.backoff.max == defaults.channel.backoff.max);
  CHECK(options.channel.connect_timeout == defaults.channel.connect_timeout);
  CHECK(options.channel.stable_after == defaults.channel.stable_after);
  CHECK(options.channel.debug == defaults.channel.debug);
  CHECK(options.channel.max_restarts == defaults.channel.max_restarts);
  CHECK(options.channel.restart_window == defaults.channel.restart_window);
  CHECK(options.channel.max_connection_age == defaults.channel.max_connection_age);
  CHECK(options.channel.health_service == std::nullopt);

  CHECK(options.channel.arguments.c_channel_args().num_args == defaults.channel.arguments.c_channel_args().num_args);
}

TEST_CASE("the example in the documentation is loaded", "[configuration]") {
  const temporary_folder folder;
  const certificates made;
  made.issue("client");
  std::filesystem::create_directory_symlink(made.folder(), folder.path() / "tls");
  const auto file = folder.write("pools.json", example());
  const environment_variable host("GREETER_HOST", "10.0.0.1");
  const environment_variable connections("GREETER_CONNECTIONS", std::nullopt);

  const auto options = load_pool_options(file, "greeter");
  CHECK(options.name == "greeter");
  CHECK(options.pool_size == 5);
  CHECK(options.status_interval == 10s);
  CHECK(options.max_waiters == 1'000);
  CHECK(options.max_connecting == 2);
  CHECK(options.resolve_interval == 30s);
  CHECK(options.pick == conn_grpc::pick_policy::least_loaded);
  CHECK(options.max_in_flight == 100);
  CHECK(options.max_size == 20);
  CHECK(options.suspect_after == 5);

  CHECK(options.channel.address == "10.0.0.1:50051");
  CHECK(options.channel.credentials != nullptr);
  CHECK(options.channel.backoff.min == 500ms);
  CHECK(options.channel.backoff.max == 15s);
  CHECK(options.channel.connect_timeout == 5s);
  CHECK(options.channel.stable_after == 2s);
  CHECK(options.channel.debug);
  CHECK(options.channel.max_restarts == 10);
  CHECK(options.channel.restart_window == 60s);
  CHECK(options.channel.max_connection_age == 1h);
  CHECK(options.channel.health_service == "greeter.Greeter");

  CHECK(values_of(options.channel, GRPC_ARG_KEEPALIVE_TIME_MS) == values{"300000"});
  CHECK(values_of(options.channel, GRPC_ARG_KEEPALIVE_TIMEOUT_MS) == values{"10000"});
  CHECK(values_of(options.channel, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS) == values{"0"});
  CHECK(values_of(options.channel, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH) == values{"16777216"});
  CHECK(values_of(options.channel, GRPC_ARG_DEFAULT_AUTHORITY) == values{"\"greeter.internal\""});

  const auto reports = load_channel_options(file, "reports");
  CHECK(reports.name == "reports");
  CHECK(reports.address == "dns:///reports.internal:443");
  CHECK(reports.credentials != nullptr);
}

TEST_CASE("a list of addresses, and top-level keys of the user's own", "[configuration]") {
  const environment_variable host("CONN_GRPC_HOST", "10.0.0.1");
  const auto options = load(R"({"x-shared": [1], "pools": {"p": {"addresses": ["${CONN_GRPC_HOST}:1", "b:2"]}}})");
  CHECK(options.addresses == std::vector<std::string>{"10.0.0.1:1", "b:2"});
}

TEST_CASE("each field of the file is documented", "[configuration]") {
  const auto text = documentation();
  const std::string section = GENERATE("", R"("channel": {)", R"("channel": {"tls": {)",
                                       R"("channel": {"keepalive": {)", R"("channel": {"backoff": {)");
  std::string error;
  try {
    const auto closing = std::string(static_cast<std::size_t>(std::ranges::count(section, '{')), '}');
    (void)load(R"({"pools": {"p": {)" + section + R"("no such": 0)" + closing + "}}}");
  } catch (const boost::system::system_error& e) {
    error = e.what();
  }
  constexpr std::string_view before = "there are: ";
  REQUIRE_THAT(error, has_text(std::string(before)));
  error = error.substr(error.find(before) + before.size());
  std::istringstream names(error.substr(0, error.find(':')));
  for (std::string name; std::getline(names >> std::ws, name, ',');) {
    CAPTURE(section, name);
    CHECK(text.find(name + '`') != std::string::npos);
  }
}

TEST_CASE("numbers, bools and durations may be strings", "[configuration]") {
  const environment_variable size("CONN_GRPC_SIZE", "4294967295");
  const environment_variable debug("CONN_GRPC_DEBUG", "true");
  const environment_variable timeout("CONN_GRPC_TIMEOUT", "0.25s");
  const environment_variable bytes("CONN_GRPC_BYTES", "-1");
  const environment_variable agent("CONN_GRPC_AGENT", "a \"quoted\"\n\\ agent");
  const auto options = load(R"({"pools": {"p": {"pool_size": "${CONN_GRPC_SIZE}", "channel": {
      "address": "${CONN_GRPC_AGENT}", "debug": "${CONN_GRPC_DEBUG}", "connect_timeout": "${CONN_GRPC_TIMEOUT}",
      "arguments": {"number": "${CONN_GRPC_BYTES}", "text": "a${CONN_GRPC_BYTES}", "digits": "5",
                    "agent": "${CONN_GRPC_AGENT}", "$${key}": "$${value}"}}}}})");
  CHECK(options.pool_size == 4'294'967'295);
  CHECK(options.channel.debug);
  CHECK(options.channel.connect_timeout == 250ms);
  CHECK(options.channel.address == "a \"quoted\"\n\\ agent");
  CHECK(values_of(options.channel, "number") == values{"-1"});
  CHECK(values_of(options.channel, "text") == values{"\"a-1\""});
  CHECK(values_of(options.channel, "digits") == values{"\"5\""});
  CHECK(values_of(options.channel, "agent") == values{"\"a \"quoted\"\n\\ agent\""});
  CHECK(values_of(options.channel, "$${key}") == values{"\"${value}\""});  // keys are not expanded
}

TEST_CASE("whole numbers are accepted in any notation", "[configuration]") {
  const auto [number, value] = GENERATE(table<std::string, int>(
      {{"0", 0}, {"5", 5}, {"5.0", 5}, {"1e6", 1'000'000}, {"1000000", 1'000'000}, {"2147483647", 2'147'483'647}}));
  CAPTURE(number);
  const auto options =
      load(R"({"pools": {"p": {"pool_size": )" + number + R"(, "channel": {"arguments": {"a": )" + number + "}}}}}");
  CHECK(options.pool_size == static_cast<std::size_t>(value));
  CHECK(values_of(options.channel, "a") == values{std::to_string(value)});
}

TEST_CASE("paths of certificates are relative to the file, or absolute", "[configuration]") {
  const temporary_folder folder;
  const certificates elsewhere;
  elsewhere.issue("client");
  std::filesystem::copy(elsewhere.chain("ca"), folder.path() / "ca.pem");
  const environment_variable where("CONN_GRPC_WHERE", elsewhere.folder().string());
  const auto file = folder.write("pools.json", R"({"channels": {"p": {"tls": {"root_certs": "ca.pem",
      "cert_chain": "${CONN_GRPC_WHERE}/client.pem", "private_key": "${CONN_GRPC_WHERE}/client.key"}},
      "open": {"tls": {"root_certs": "", "cert_chain": "", "private_key": ""}}}})");
  CHECK(load_channel_options(file, "p").credentials != nullptr);
  CHECK(load_channel_options(file, "open").credentials != nullptr);
}

TEST_CASE("a pool from a file connects to an address from the environment", "[configuration]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const environment_variable address("CONN_GRPC_ADDRESS", "127.0.0.1:" + std::to_string(server.port()));
  const environment_variable size("CONN_GRPC_SIZE", "");
  const temporary_folder folder;
  const auto file = folder.write("pools.json", R"({"pools": {"greeter": {"pool_size": "${CONN_GRPC_SIZE:-3}",
      "channel": {"address": "${CONN_GRPC_ADDRESS}", "arguments": {"grpc.max_receive_message_length": 1}}}}})");
  auto options = load_pool_options(file, "greeter");
  const bool overridden = GENERATE(false, true);
  if (overridden) options.channel.arguments.SetInt(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, 1'000);

  asio::io_context io;
  observer seen;
  options.channel = seen.watch(options.channel);
  conn_grpc::pool pool(io, options);
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 3; });
    CHECK(established_to(server.port()) == 3);
    CHECK(pool.status().name == "greeter");
    const auto channel = co_await pool.get_channel();
    const auto answer = co_await greet(channel);
    CHECK(answer.status.error_code() == (overridden ? grpc::StatusCode::OK : grpc::StatusCode::RESOURCE_EXHAUSTED));
  }());
}
