// SPDX-License-Identifier: BSL-1.0
#include "core/target.hpp"

#include <boost/system/system_error.hpp>
#include <conn_grpc/error.hpp>
#include <map>
#include <string>

#include "support/catch.hpp"

using conn_grpc::core::check_target;
using conn_grpc::core::host_port_of;
using conn_grpc::core::proxy_configuration;
using conn_grpc::core::proxy_of;
using conn_grpc::test::has_text;

TEST_CASE("every form of a target that gRPC knows is accepted", "[target]") {
  const auto* const target =
      GENERATE("host", "host:0", "host:65535", "host:00080", "host:http", "host:https", "host:", "127.0.0.1:50051",
               "::1", "[::1]", "[::1]:50051", "fe80::1:99999", "[fe80::1%25eth0]:1", "dns:host:50051",
               "dns:///host:50051", "dns://1.1.1.1:53/host:50051", "dns://[::1]:99999/host",
               "ipv4:127.0.0.1:1,127.0.0.2:2", "ipv6:[::1]:1,[::2]:65535", "ipv6:::1", "unix:/run/app:99999",
               "unix:relative", "unix:///run/app.sock", "unix-abstract:name:99999", "vsock:2:99999", "xds:///app:99999",
               "google-c2p:///app", "custom://authority/what:99999", "custom:///a,b:c:99999", "http://host", "dns:///");
  CHECK_NOTHROW(check_target("address", target));
}

TEST_CASE("an invalid port is rejected with the name of the field", "[target]") {
  const auto [target, port] = GENERATE(table<std::string, std::string>({
      {"host:99999", "99999"},
      {"host:65536", "65536"},
      {"host:99999999999999999999", "99999999999999999999"},
      {"host:0x", "0x"},
      {"host:80a", "80a"},
      {"host:-1", "-1"},
      {"host:+1", "+1"},
      {"host:http2", "http2"},
      {"127.0.0.1:ssh", "ssh"},
      {"host: 80", "80 in"},
      {"127.0.0.1:70000", "70000"},
      {"[::1]:70000", "70000"},
      {"dns:host:70000", "70000"},
      {"dns://1.1.1.1/host:70000", "70000"},
      {"ipv4:127.0.0.1:1,127.0.0.2:70000", "70000"},
      {"ipv6:[::1]:70000,[::2]:1", "70000"},
  }));
  try {
    check_target("channel.address", target);
    FAIL(target + " was accepted");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    CHECK_THAT(e.what(),
               has_text("channel.address: the port must be from 0 to 65535, http or https, is ") && has_text(port));
  }
}

TEST_CASE("a target that a pool can resolve has a host and a port", "[target]") {
  const auto [target, host, port, authority] = GENERATE(table<std::string, std::string, int, std::string>({
      {"host:50051", "host", 50'051, "host:50051"},
      {"dns:///host:50051", "host", 50'051, "host:50051"},
      {"dns:host:50051", "host", 50'051, "host:50051"},
      {"127.0.0.1:1", "127.0.0.1", 1, "127.0.0.1:1"},
      {"[::1]:1", "::1", 1, "[::1]:1"},
      {"host:http", "host", 80, "host:http"},
      {"host:https", "host", 443, "host:https"},
      {"host:00080", "host", 80, "host:00080"},
  }));
  CAPTURE(target);
  const auto parts = host_port_of(target);
  REQUIRE(parts);
  CHECK(parts->host == host);
  CHECK(parts->port == port);
  CHECK(parts->authority == authority);
}

TEST_CASE("other targets are not for a pool that resolves", "[target]") {
  const auto* const target =
      GENERATE("host", "host:", ":1", "[]:1", "::1", "dns:///host", "dns://1.1.1.1/host:1", "ipv4:127.0.0.1:1",
               "ipv6:[::1]:1", "unix:/run/app", "xds:///app:1", "a:1,b:1", "http://host:1", "dns:0", "");
  CAPTURE(target);
  CHECK_FALSE(host_port_of(target));
}

TEST_CASE("an empty target is rejected", "[target]") {
  CHECK_THROWS_WITH(check_target("address", ""), has_text("address: must not be empty"));
}

namespace {

struct proxy_case {
  std::string target;
  std::map<std::string, std::string> environment;
  std::string expected;
  bool enabled = true;
  std::optional<std::string> in_arguments = std::nullopt;
};

}  // namespace

TEST_CASE("the proxy through which gRPC connects", "[target]") {
  const auto c = GENERATE(values<proxy_case>({
      {"host:1", {}, ""},
      {"host:1", {{"http_proxy", "http://p:3128"}}, "the proxy p:3128 of http_proxy"},
      {"host:1", {{"http_proxy", "http://p:3128/"}}, "the proxy p:3128 of http_proxy"},
      {"host:1", {{"http_proxy", "http://user:secret@p:3128"}}, "the proxy p:3128 of http_proxy"},
      {"host:1", {{"http_proxy", "http://h"}, {"https_proxy", "http://s"}}, "the proxy s of https_proxy"},
      {"host:1", {{"https_proxy", "http://s"}, {"grpc_proxy", "http://g"}}, "the proxy g of grpc_proxy"},
      {"host:1", {{"HTTP_PROXY", "http://p:3128"}}, ""},
      {"host:1", {{"http_proxy", "https://p:3128"}}, ""},  // gRPC knows only the scheme http
      {"host:1", {{"http_proxy", "p:3128"}}, ""},
      {"host:1", {{"http_proxy", ""}}, ""},
      {"host:1", {{"http_proxy", "http://p:1"}}, "", false},
      {"host:1", {{"http_proxy", "http://p:1"}}, "the proxy q:2 of grpc.http_proxy", true, "http://q:2"},
      {"host:1", {}, "the proxy q:2 of grpc.http_proxy", true, "http://q:2"},
      {"host:1", {{"http_proxy", "http://p:1"}, {"no_proxy", "host"}}, ""},
      {"host:1", {{"http_proxy", "http://p:1"}, {"no_proxy", "a, HOST ,b"}}, ""},
      {"a.host:1", {{"http_proxy", "http://p:1"}, {"no_proxy", ".host"}}, ""},
      {"hostess:1", {{"http_proxy", "http://p:1"}, {"no_proxy", "host"}}, "the proxy p:1 of http_proxy"},
      {"host:1", {{"http_proxy", "http://p:1"}, {"no_proxy", ""}}, "the proxy p:1 of http_proxy"},
      {"host:1",
       {{"http_proxy", "http://p:1"}, {"no_proxy", "host"}, {"no_grpc_proxy", "other"}},
       "the proxy p:1 of http_proxy"},
      {"host:1", {{"http_proxy", "http://p:1"}, {"no_grpc_proxy", "host"}}, ""},
      {"dns://1.1.1.1/host:1", {{"http_proxy", "http://p:1"}, {"no_proxy", "host"}}, ""},
      {"ipv4:127.0.0.1:1", {{"http_proxy", "http://p:1"}, {"no_proxy", "127.0.0.1"}}, ""},
      {"ipv4:127.0.0.1:1", {{"http_proxy", "http://p:1"}}, "the proxy p:1 of http_proxy"},
      {"[::1]:1", {{"http_proxy", "http://p:1"}}, "the proxy p:1 of http_proxy"},
      {"unix:/run/app.sock", {{"http_proxy", "http://p:1"}}, ""},
      {"vsock:2:1", {{"http_proxy", "http://p:1"}}, ""},
  }));
  const auto get = [&](const char* name) {
    const auto found = c.environment.find(name);
    return found == c.environment.end() ? nullptr : found->second.c_str();
  };
  CHECK(proxy_of(c.target, {.enabled = c.enabled, .in_arguments = c.in_arguments, .environment = get}) == c.expected);
}
