// SPDX-License-Identifier: BSL-1.0
// What is rejected, and that the error names the file and the field.
#include <boost/system/system_error.hpp>
#include <conn_grpc/configuration.hpp>
#include <conn_grpc/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "support/catch.hpp"
#include "support/environment_variable.hpp"
#include "support/temporary_folder.hpp"
#include "support/versions.hpp"

using namespace conn_grpc::test;

namespace {

/// The error of loading the pool "p", without the name of the file.
std::string refusal_of(const std::filesystem::path& file) {
  try {
    (void)conn_grpc::load_pool_options(file, "p");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    const std::string_view text = e.what();
    const std::string prefix = file.string() + ": ";
    CHECK_THAT(e.what(), Catch::Matchers::StartsWith(prefix));
    return std::string(text.substr(std::min(prefix.size(), text.size())));
  }
  return "accepted";
}

std::string refusal_of_text(std::string_view json) {
  const temporary_folder folder;
  return refusal_of(folder.write("pools.json", json));
}

std::string pool(std::string_view fields) { return R"({"pools": {"p": {)" + std::string(fields) + "}}}"; }
std::string channel(std::string_view fields) { return pool(R"("channel": {)" + std::string(fields) + "}"); }
std::string nested(std::string_view open, std::size_t times, std::string_view close) {
  std::string text = R"({"pools": )";
  for (std::size_t i = 0; i < times; ++i) text += open;
  for (std::size_t i = 0; i < times; ++i) text += close;
  return text + "}";
}

/// The library says where the error is, and protobuf says what is wrong. Protobuf's words
/// are known for protobuf 3 only.
std::string expected_here(const std::string& expected) {
  if (is_protobuf_3) return expected;
  for (const std::string_view words : {"cannot be parsed: ", ": invalid value "})
    if (const auto at = expected.find(words); at != expected.npos)
      return words.front() == ':' ? expected.substr(0, at) + ": invalid JSON" : expected.substr(0, at + words.size());
  return expected;
}

void check_refusal(std::string_view json, const std::string& words) {
  const auto expected = expected_here(words);
  CAPTURE(json.substr(0, 200), expected);
  CHECK_THAT(refusal_of_text(json), Catch::Matchers::StartsWith(expected));
}

}  // namespace

TEST_CASE("a file that cannot be read is rejected with its name", "[configuration]") {
  const temporary_folder folder;
  CHECK_THAT(refusal_of(folder.path() / "none.json"),
             Catch::Matchers::StartsWith("cannot be read: No such file or directory"));
  CHECK_THAT(refusal_of(folder.path()), Catch::Matchers::StartsWith("cannot be read: Is a directory"));
  CHECK_THAT(refusal_of(std::filesystem::path("/dev/zero")), Catch::Matchers::StartsWith("is larger than 1 MiB"));
}

TEST_CASE("a text that is not JSON is rejected with the name of the file", "[configuration]") {
  const auto [json, why] = GENERATE(table<std::string, std::string>({
      {"", "cannot be parsed: Unexpected end of string"},
      {"[]", "cannot be parsed: "},
      {"5", "cannot be parsed: "},
      {"null", is_protobuf_3 ? "cannot be parsed: " : "pools.p: there is no such entry"},
      {R"({"pools": )", "cannot be parsed: Unexpected end of string"},
      {R"({"pools": {}} more)", "cannot be parsed: Parsing terminated before end of input"},
      {R"({"pools": {"p": {"pool_size": 1 "debug": true}}})", "cannot be parsed: Expected , or }"},
      {pool(R"("pool_size": 1e999)"), "cannot be parsed: Number exceeds the range of double"},
      {pool(R"("pool_size": NaN)"), "cannot be parsed: Unexpected token"},
      {channel("\"address\": \"\xFF\""), "cannot be parsed: Encountered non UTF-8 code points"},
      {"\xEF\xBB\xBF" + pool(""), "cannot be parsed: Expected a value"},
      {std::string(std::size_t{10} << 20, ' '), "is larger than 1 MiB"},
      {nested(R"({"a": )", 19, "}"), "cannot be parsed: Unexpected token"},
      {nested(R"({"a": )", 20, "}"), "is nested deeper than 20 levels"},
      {nested("[", 100'000, "]"), "is nested deeper than 20 levels"},
      {nested("[", 100'000, ""), "is nested deeper than 20 levels"},
  }));
  check_refusal(json, why);
}

TEST_CASE("brackets in strings do not count as nesting", "[configuration]") {
  const std::string deep = R"(\"[[[[[[[[[[{{{{{{{{{{[[[[[[[[[[\\)";
  CHECK(refusal_of_text(channel(R"("address": ")" + deep + '"')) == "accepted");
}

TEST_CASE("a key that occurs twice is rejected", "[configuration]") {
  CHECK_THAT(refusal_of_text(pool(R"("pool_size": 1, "pool_size": 2)")), has_text("epeated map key: 'pool_size'"));
  CHECK_THAT(refusal_of_text(R"({"pools": {"p": {}}, "pools": {"p": {}}})"), has_text("epeated map key: 'pools'"));
}

TEST_CASE("an entry that does not exist, and a field that is no option, are rejected", "[configuration]") {
  const auto [json, why] = GENERATE(table<std::string, std::string>({
      {"{}", "pools.p: there is no such entry; there are: none"},
      {R"({"pools": {"b": {}, "a": {}}})", "pools.p: there is no such entry; there are: a, b"},
      {R"({"channels": {"p": {}}})", "pools.p: there is no such entry; there are: none"},
      {R"({"pools": {"p": {}}, "pool": {}})", "pool: there is no such field; there are: channels, pools"},
      {R"({"pools": []})", "pools: must be an object"},
      {R"({"pools": null})", "pools: must be an object"},
      {R"({"pools": {"p": 5}})", "pools.p: must be an object"},
      {pool(R"("size": 5)"),
       "pools.p.size: there is no such field; there are: addresses, channel, max_connecting, max_in_flight, "
       "max_size, max_waiters, pick, pool_size, resolve_interval, status_interval, suspect_after"},
      {pool(R"("pick": "random")"), "pools.p.pick: must be round_robin or least_loaded, is \"random\""},
      {pool(R"("poolSize": 5)"), "pools.p.poolSize: there is no such field"},
      {pool(R"("name": "q")"), "pools.p.name: there is no such field"},
      {pool(R"("channel": [])"), "pools.p.channel: must be an object"},
      {pool(R"("channel": "${CHANNEL:-{}}")"), "pools.p.channel: must be an object"},
      {channel(R"("adress": "a")"), "pools.p.channel.adress: there is no such field; there are: address, "},
      {channel(R"("tls": null)"), "pools.p.channel.tls: must be an object"},
      {channel(R"("tls": {"ca": ""})"), "pools.p.channel.tls.ca: there is no such field"},
      {channel(R"("keepalive": {"interval": "1s"})"), "pools.p.channel.keepalive.interval: there is no such field"},
      {channel(R"("backoff": {"mim": "1s"})"), "pools.p.channel.backoff.mim: there is no such field"},
      {channel(R"("arguments": [])"), "pools.p.channel.arguments: must be an object"},
  }));
  check_refusal(json, why);
}

TEST_CASE("a value of the wrong type, or out of range, is rejected", "[configuration]") {
  const auto [json, why] = GENERATE(table<std::string, std::string>({
      {pool(R"("pool_size": null)"), "pools.p.pool_size: must not be null"},
      {pool(R"("pool_size": {})"), "pools.p.pool_size: must not be an object"},
      {pool(R"("pool_size": [1])"), "pools.p.pool_size: must not be a list"},
      {pool(R"("addresses": "a:1")"), "pools.p.addresses: must be a list"},
      {pool(R"("addresses": [5])"), "pools.p.addresses[0]: invalid value 5 for type TYPE_STRING"},
      {pool(R"("addresses": ["a:1", null])"), "pools.p.addresses[1]: must not be null"},
      {pool(R"("pool_size": true)"), "pools.p.pool_size: invalid value true for type TYPE_UINT32"},
      {pool(R"("pool_size": "five")"), "pools.p.pool_size: invalid value \"five\" for type TYPE_UINT32"},
      {pool(R"("pool_size": "")"), "pools.p.pool_size: invalid value \"\" for type TYPE_UINT32"},
      {pool(R"("pool_size": 1.5)"), "pools.p.pool_size: invalid value 1.5 for type TYPE_UINT32"},
      {pool(R"("pool_size": -1)"), "pools.p.pool_size: invalid value -1 for type TYPE_UINT32"},
      {pool(R"("pool_size": 4294967296)"), "pools.p.pool_size: invalid value 4294967296 for type TYPE_UINT32"},
      {pool(R"("pool_size": 1e300)"), "pools.p.pool_size: invalid value 1e+300 for type TYPE_UINT32"},
      {channel(R"("max_restarts": -1)"), "pools.p.channel.max_restarts: invalid value -1 for type TYPE_UINT32"},
      {channel(R"("debug": 1)"), "pools.p.channel.debug: invalid value 1 for type TYPE_BOOL"},
      {channel(R"("debug": "perhaps")"), "pools.p.channel.debug: invalid value \"perhaps\" for type TYPE_BOOL"},
      {channel(R"("address": 5)"), "pools.p.channel.address: invalid value 5 for type TYPE_STRING"},
      {channel(R"("address": "")"), "pools.p.channel.address: must not be empty"},
      {channel(R"("address": "a\u0000b")"), "pools.p.channel.address: must not have a NUL in it"},
      {channel(R"("tls": {"root_certs": 5})"), "pools.p.channel.tls.root_certs: invalid value 5 for type TYPE_STRING"},
      {channel(R"("keepalive": {"permit_without_calls": "5"})"),
       "pools.p.channel.keepalive.permit_without_calls: invalid value \"5\" for type TYPE_BOOL"},
  }));
  check_refusal(json, why);
}

TEST_CASE("a text that is not a duration, and a duration not in whole milliseconds, are rejected", "[configuration]") {
  const std::string field =
      GENERATE("backoff.max", "connect_timeout", "stable_after", "restart_window", "max_connection_age",
               "keepalive.time", "keepalive.timeout", "tls.refresh_interval");
  const auto [duration, why] = GENERATE(table<std::string, std::string>({
      {"20", "must be seconds as in \"0.5s\", is "},
      {"\"20\"", "must be seconds as in \"0.5s\", is "},
      {"\"20ms\"", "must be seconds as in \"0.5s\", is "},
      {"\"\"", "must be seconds as in \"0.5s\", is "},
      {"true", "must be seconds as in \"0.5s\", is "},
      {"{\"seconds\": 5}", "must not be an object"},
      {"null", "must not be null"},
      {"\"0.0001s\"", "must be whole milliseconds"},
      {"\"1.000000001s\"", "must be whole milliseconds"},
      {"\"0s\"", "must be above zero, is 0 ms"},
      {"\"-1.5s\"", "must be above zero, is -1500 ms"},
      {"\"315576000000s\"", "must not be above 100 years"},
      {"\"315576000001s\"", "must be seconds as in \"0.5s\", is "},
      {"\"99999999999999999999s\"", "must be seconds as in \"0.5s\", is "},
  }));
  const auto dot = field.find('.');
  const std::string json = dot == std::string::npos ? '"' + field + "\": " + duration
                                                    : '"' + field.substr(0, dot) + R"(": {")" + field.substr(dot + 1) +
                                                          "\": " + duration + "}";
  check_refusal(channel(json), "pools.p.channel." + field + ": " + why);
  check_refusal(pool(R"("status_interval": )" + duration), "pools.p.status_interval: " + why);
  check_refusal(pool(R"("resolve_interval": )" + duration), "pools.p.resolve_interval: " + why);
}

TEST_CASE("options that contradict each other are rejected", "[configuration]") {
  const auto [fields, why] = GENERATE(table<std::string, std::string>({
      {R"("backoff": {"min": "2s", "max": "1s"})", "backoff: min must not be above max, but 2000 ms > 1000 ms"},
      {R"("backoff": {"min": "31s"})", "backoff: min must not be above max, but 31000 ms > 30000 ms"},
      {R"("tls": {"refresh_interval": "1.5s"})", "tls.refresh_interval: must be whole seconds"},
      {R"("keepalive": {"time": "2147483.648s"})", "keepalive.time: must be from -2147483648 to 2147483647"},
      {R"("keepalive": {"time": "1s"}, "arguments": {"grpc.keepalive_time_ms": 1000})",
       "arguments.grpc.keepalive_time_ms: is already set by keepalive.time"},
      {R"("keepalive": {"timeout": "1s"}, "arguments": {"grpc.keepalive_timeout_ms": 1})",
       "arguments.grpc.keepalive_timeout_ms: is already set by keepalive.timeout"},
      {R"("keepalive": {"permit_without_calls": true}, "arguments": {"grpc.keepalive_permit_without_calls": 1})",
       "arguments.grpc.keepalive_permit_without_calls: is already set by keepalive.permit_without_calls"},
  }));
  check_refusal(channel(fields), "pools.p.channel." + why);
}

TEST_CASE("an argument that is neither an int nor a string is rejected", "[configuration]") {
  const auto [value, why] = GENERATE(table<std::string, std::string>({
      {"true", "must be an integer or a string"},
      {"null", "must not be null"},
      {"[1]", "must not be a list"},
      {"{}", "must not be an object"},
      {"0.5", "must be a whole number"},
      {"2147483648", "must be from -2147483648 to 2147483647"},
      {"-2147483649", "must be from -2147483648 to 2147483647"},
      {"1e300", "must be from -2147483648 to 2147483647"},
      {R"("${CONN_GRPC_UNSET:-2147483648}")", "must be from -2147483648 to 2147483647"},
      {R"("${CONN_GRPC_UNSET:-)" + std::string(400, '9') + "}\"", "must be from -2147483648 to 2147483647"},
      {R"("a\u0000b")", "must not have a NUL in it"},
      {R"("${CONN_GRPC_UNSET}")", "the environment variable CONN_GRPC_UNSET is not set"},
  }));
  check_refusal(channel(R"("arguments": {"grpc.some": )" + value + "}"), "pools.p.channel.arguments.grpc.some: " + why);
}

TEST_CASE("values from the environment are rejected like values in the file", "[configuration]") {
  const auto [value, why] = GENERATE(table<std::optional<std::string>, std::string>({
      {std::nullopt, "the environment variable CONN_GRPC_VALUE is not set"},
      {"", "invalid value \"\" for type TYPE_UINT32"},
      {"five", "invalid value \"five\" for type TYPE_UINT32"},
      {"\", \"x\": \"\n", "invalid value \"\", \"x\": \"\n\" for type TYPE_UINT32"},
      {"-1", "invalid value \"-1\" for type TYPE_UINT32"},
      {"\xFF", "must be UTF-8"},
      {"a\xC3(b", "must be UTF-8"},
  }));
  const environment_variable set("CONN_GRPC_VALUE", value);
  check_refusal(pool(R"("pool_size": "${CONN_GRPC_VALUE}")"), "pools.p.pool_size: " + why);
}

TEST_CASE("a certificate that cannot be read is rejected with the names of the file and the field", "[configuration]") {
  const temporary_folder folder;
  const auto file = folder.write("pools.json", channel(R"("tls": {"root_certs": "sub/ca.pem"})"));
  const auto refusal = refusal_of(file);
  CHECK_THAT(refusal, Catch::Matchers::StartsWith("pools.p.channel.tls.root_certs: cannot read " +
                                                  (folder.path() / "sub/ca.pem").string()));
  // The text occurs once, although it has been in two exceptions.
  CHECK(refusal.find("invalid options") == refusal.rfind("invalid options"));
}

TEST_CASE("the errors of a channel name the channel", "[configuration]") {
  const temporary_folder folder;
  const auto file = folder.write("pools.json", R"({"channels": {"a": {"debug": 5}}, "pools": {"p": {}}})");
  CHECK_THROWS_WITH(conn_grpc::load_channel_options(file, "a"),
                    has_text(file.string() + ": channels.a.debug: invalid"));
  CHECK_THROWS_WITH(conn_grpc::load_channel_options(file, "p"),
                    has_text(file.string() + ": channels.p: there is no such entry; there are: a"));
  CHECK(refusal_of(file) == "accepted");  // only the requested entry is checked
}
