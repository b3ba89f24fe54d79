// SPDX-License-Identifier: BSL-1.0
// TLS and mTLS against a real server in another process, and every way in which they fail.
#include <fcntl.h>
#include <grpc/grpc_security.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/system/system_error.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/tls.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/listener.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/tls_listener.hpp"
#include "support/versions.hpp"

using namespace conn_grpc::test;
using conn_grpc::tls_credentials;
using conn_grpc::tls_files;

namespace {

constexpr const char* loopback = "127.0.0.1:0";

std::vector<std::string> tls(const certificates& made, const std::string& server) {
  return {"--tls", made.chain(server), made.key(server)};
}

std::vector<std::string> mtls(const certificates& made, const std::string& server) {
  auto options = tls(made, server);
  options.insert(options.end(), {"--client-ca", made.chain("ca")});
  return options;
}

std::string address_of(const server_process& server) { return "127.0.0.1:" + std::to_string(server.port()); }

/// The text that a get throws, and that the status has, after the second attempt. There
/// are only the attempts that the backoff allows.
std::string failure(conn_grpc::channel_options options) {
  asio::io_context io;
  observer seen;
  seen.delay = [](int call) { return call == 0 ? 20ms : 1h; };  // no third attempt
  conn_grpc::channel channel(io, seen.watch(std::move(options)));
  channel.async_run([](conn_grpc::error_code) {});
  std::string thrown;
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.waits == 2; });
    try {
      (void)co_await channel.get();
    } catch (const boost::system::system_error& e) {
      thrown = e.what();
    }
    CHECK_THAT(thrown, has_text(channel.status().last_error));
    CHECK(channel.status().attempts == 2);
    CHECK(seen.connects == 0);
  }());
  return thrown;
}

std::string refusal(const tls_files& files) {
  try {
    (void)tls_credentials(files);
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a pool connects with TLS and with mTLS, and the server knows the client", "[tls]") {
  const bool mutual = GENERATE(false, true);
  certificates made;
  made.issue("server");
  made.issue("client-1");
  const server_process server(greeter_server(), loopback, mutual ? mtls(made, "server") : tls(made, "server"));
  tls_files files{.root_certs = made.chain("ca")};
  if (mutual) files = {made.chain("ca"), made.chain("client-1"), made.key("client-1")};
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(
      io,
      {.pool_size = 3, .channel = seen.watch({.address = address_of(server), .credentials = tls_credentials(files)})});
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects == 3; });
    for (int i = 0; i < 3; ++i) {
      HelloRequest request;
      request.set_name("world");
      const auto channel = co_await pool.get_channel();
      const auto answer = co_await greet(channel, request);
      CHECK(answer.status.ok());
      CHECK(answer.reply.message() == "Hello world");
      CHECK(answer.reply.client() == (mutual ? "client-1" : ""));
    }
    CHECK(seen.waits == 0);
  }());
}

TEST_CASE("a refused certificate of a server is reported with the reason", "[tls]") {
  certificates made;
  made.add_ca("other");
  made.issue("server");
  made.issue("expired", {.ca = "ca", .ip = "127.0.0.1", .expired = true});
  made.issue("elsewhere", {.ca = "ca", .ip = "127.0.0.2", .expired = false});
  const bool mutual = GENERATE(false, true);
  const auto failure_with = [&](const std::string& root, const std::string& name) {
    const server_process server(greeter_server(), loopback, mutual ? mtls(made, name) : tls(made, name));
    return failure({.address = address_of(server), .credentials = tls_credentials({.root_certs = made.chain(root)})});
  };
  // Current versions of gRPC report OpenSSL's words themselves, without the certificate.
  const auto refused = [](const std::string& why, const std::string& whose) {
    return has_text("certificate verify failed: " + why + (is_grpc_1_51() ? " (subject " + whose : std::string()));
  };
  // A server that asks for certificates itself knows the CA, and sends it, too.
  CHECK_THAT(failure_with("other", "server"),
             mutual ? refused("self-signed certificate in certificate chain", "CN=ca")
                    : refused("unable to get local issuer certificate", "CN=server, issuer CN=ca, "));
  CHECK_THAT(failure_with("ca", "expired"),
             refused("certificate has expired",
                     "CN=expired, issuer CN=ca, valid from Jan  1 00:00:00 2020 GMT to Jan  2 00:00:00 2020 GMT)"));
  CHECK_THAT(failure_with("ca", "elsewhere"), has_text("Hostname Verification Check failed"));
}

TEST_CASE("the arguments may set another name for the server's certificate", "[tls]") {
  certificates made;
  made.issue("elsewhere", {.ca = "ca", .ip = "127.0.0.2", .expired = false});
  const server_process server(greeter_server(), loopback, tls(made, "elsewhere"));
  conn_grpc::channel_options options{.address = address_of(server),
                                     .credentials = tls_credentials({.root_certs = made.chain("ca")})};
  options.arguments.SetSslTargetNameOverride("127.0.0.2");
  asio::io_context io;
  observer seen;
  conn_grpc::channel channel(io, seen.watch(options));
  channel.async_run([](conn_grpc::error_code) {});
  run(io, seen.until([&] { return seen.connects + seen.waits > 0; }));
  CHECK(seen.connects == 1);
}

TEST_CASE("a refused certificate of a client is reported with what can be known", "[tls]") {
  certificates made;
  made.add_ca("other");
  made.issue("server");
  made.issue("expired", {.ca = "ca", .ip = "127.0.0.1", .expired = true});
  made.issue("stranger", {.ca = "other", .ip = "127.0.0.1", .expired = false});
  const server_process server(greeter_server(), loopback, mtls(made, "server"));
  const auto failure_with = [&](const std::string& client) {
    tls_files files{.root_certs = made.chain("ca")};
    if (!client.empty()) files = {made.chain("ca"), made.chain(client), made.key(client)};
    return failure({.address = address_of(server), .credentials = tls_credentials(files)});
  };
  CHECK_THAT(failure_with(""), has_text("(as servers do that require a client certificate; there is none)"));
  CHECK_THAT(failure_with("expired"), has_text("(as servers do that refuse a client certificate; " +
                                               made.chain("expired").string() + " has expired (subject CN=expired"));
  CHECK_THAT(failure_with("stranger"), has_text("stranger.pem is valid now (subject CN=stranger, issuer CN=other, "));
}

TEST_CASE("TLS on one side only fails", "[tls]") {
  certificates made;
  made.issue("server");
  const auto credentials = tls_credentials({.root_certs = made.chain("ca")});
  {
    const server_process server(greeter_server(), loopback, tls(made, "server"));
    CHECK_THAT(failure({.address = address_of(server)}), has_text("Socket closed: no channel"));
  }
  const server_process server(greeter_server(), loopback);
  CHECK_THAT(failure({.address = address_of(server), .credentials = credentials}),
             has_text("Tls handshake failed") && has_text("wrong version number"));
}

TEST_CASE("a listening socket sees attempts only when the backoff allows them, also with TLS", "[tls]") {
  certificates made;
  asio::io_context io;
  observer seen;
  // First longer than gRPC's own backoff of a second. No fifth attempt.
  seen.delay = [](int call) { return call == 0 ? 1'500ms : call < 3 ? 20ms : 1h; };
  const auto how = GENERATE(manner::closes, manner::speaks_http1);
  listener peer(io, how);
  conn_grpc::channel channel(
      io, seen.watch({.address = peer.address(), .credentials = tls_credentials({.root_certs = made.chain("ca")})}));
  channel.async_run([](conn_grpc::error_code) {});
  run(io, seen.until([&] { return seen.waits == 4; }));
  CHECK(peer.accepted() == 4);
  CHECK(channel.status().attempts == 4);
}

TEST_CASE("a refused certificate is fetched once for each attempt, on a connection of its own", "[tls]") {
  certificates made;
  made.add_ca("other");
  made.issue("server");
  const server_process server(greeter_server(), loopback, tls(made, "server"));
  asio::io_context io;
  observer seen;
  relay between(io, server.port());
  auto options =
      seen.watch({.address = between.address(), .credentials = tls_credentials({.root_certs = made.chain("other")})});
  seen.delay = [](int call) { return call < 2 ? 20ms : 1h; };  // no fourth attempt
  const bool own = GENERATE(false, true);
  if (own) options.create_channel = grpc::CreateCustomChannel;
  conn_grpc::channel channel(io, options);
  channel.async_run([](conn_grpc::error_code) {});
  run(io, seen.until([&] { return seen.waits == 3; }));
  CHECK(channel.status().attempts == 3);
  const bool fetched = !own && is_grpc_1_51();  // later versions give the reason themselves
  CHECK(between.accepted() == (fetched ? 6 : 3));
  if (!fetched)
    CHECK_THAT(channel.status().last_error,
               Catch::Matchers::EndsWith(is_grpc_1_51()
                                             ? "certificate verify failed"
                                             : "certificate verify failed: unable to get local issuer certificate"));
}

TEST_CASE("a session cache lets no impostor in at the second attempt", "[tls]") {
  certificates made;
  made.add_ca("other");
  made.issue("server");
  asio::io_context io;
  observer seen;
  const tls_listener impostor(io, made.chain("server"), made.key("server"));
  auto options =
      seen.watch({.address = impostor.address(), .credentials = tls_credentials({.root_certs = made.chain("other")})});
  auto* const cache = ::grpc_ssl_session_cache_create_lru(16);
  const grpc_arg argument = ::grpc_ssl_session_cache_create_channel_arg(cache);
  options.arguments.SetPointerWithVtable(argument.key, argument.value.pointer.p, argument.value.pointer.vtable);
  conn_grpc::channel channel(io, options);
  channel.async_run([](conn_grpc::error_code) {});
  run(io, seen.until([&] { return seen.waits == 3 || seen.connects > 0; }));
  CHECK(seen.connects == 0);
  // Those of the certificate fetches, in which OpenSSL does not verify. gRPC 1.83 gives the
  // reason itself, so there is no fetch.
  CHECK((impostor.handshakes() > 0) == is_grpc_1_51());
  CHECK(impostor.resumed() == 0);
  CHECK_THAT(channel.status().last_error, has_text("certificate verify failed: unable to get local issuer"));
  ::grpc_ssl_session_cache_destroy(cache);
}

TEST_CASE("a file system that hangs under the PEM files delays no other channel", "[tls]") {
  certificates made;
  made.add_ca("other");
  made.issue("server");
  made.issue("client");
  const auto other = made.chain("other"), client = made.chain("client");
  // Attempts with the first credentials read the roots, attempts with the second read the
  // client's certificate.
  const auto refusing = tls_credentials({.root_certs = other, .refresh_interval = 1h});
  const auto refused = tls_credentials({made.chain("ca"), client, made.key("client"), 1h});
  const server_process server(greeter_server(), loopback, tls(made, "server"));
  asio::io_context io;
  observer seen, seen_too, good;
  const listener closing(io, manner::closes);
  // Opening a FIFO to read it hangs until it is opened to be written.
  for (const auto& file : {other, client}) {
    std::filesystem::remove(file);
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  }
  conn_grpc::channel first(io, seen.watch({.address = address_of(server), .credentials = refusing}));
  conn_grpc::channel second(io, seen_too.watch({.address = closing.address(), .credentials = refused}));
  first.async_run([](conn_grpc::error_code) {});
  second.async_run([](conn_grpc::error_code) {});
  const server_process plain(greeter_server(), loopback);
  run(io, [&]() -> asio::awaitable<void> {
    // Each of these attempts makes the reading thread hang. A channel that connects after
    // that needs gRPC's threads.
    co_await seen.until([&] { return seen.waits >= 1; });
    co_await seen_too.until([&] { return seen_too.waits >= 1; });
    conn_grpc::channel third(io, good.watch({.address = address_of(plain)}));
    third.async_run([](conn_grpc::error_code) {});
    co_await good.until([&] { return good.connects == 1; });
  }());
  CHECK_THAT(first.status().last_error, has_text("certificate verify failed"));
  CHECK_THAT(second.status().last_error, has_text("(the files could not be read within half a second)"));
  for (const auto& file : {other, client}) ::close(::open(file.c_str(), O_RDWR | O_NONBLOCK));
}

TEST_CASE("unusable TLS files are rejected with the name of the field", "[tls]") {
  certificates made;
  made.issue("client");
  made.issue("other");
  const auto ca = made.chain("ca"), chain = made.chain("client"), key = made.key("client");
  const auto none = made.folder() / "none", garbage = made.folder() / "config";
  CHECK(refusal({}) == "accepted");
  CHECK(refusal({ca, chain, key}) == "accepted");
  CHECK(refusal({.root_certs = none})
            .starts_with("root_certs: cannot read " + none.string() + ": No such file or directory"));
  CHECK(refusal({.root_certs = made.folder()}).find(": Is a directory") != std::string::npos);
  CHECK(refusal({.root_certs = garbage}).starts_with("root_certs: no certificate in " + garbage.string()));
  CHECK(refusal({.root_certs = key}).starts_with("root_certs: no certificate in"));
  CHECK(refusal({ca, chain, {}}).starts_with("cert_chain: needs private_key"));
  CHECK(refusal({ca, {}, key}).starts_with("private_key: needs cert_chain"));
  CHECK(refusal({ca, none, key}).starts_with("cert_chain: cannot read"));
  CHECK(refusal({ca, garbage, key}).starts_with("cert_chain: no certificate in"));
  CHECK(refusal({ca, chain, none}).starts_with("private_key: cannot read"));
  CHECK(refusal({ca, chain, garbage}).starts_with("private_key: no key, or one with a passphrase, in"));
  CHECK(refusal({ca, chain, made.key("other")})
            .starts_with("private_key: " + made.key("other").string() + " is not the key of the first certificate"));
  CHECK(refusal({ca, chain, key, 0s}).starts_with("refresh_interval: must be at least 1 s, is 0 s"));
}
