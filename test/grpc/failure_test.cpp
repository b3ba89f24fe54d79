// SPDX-License-Identifier: BSL-1.0
// Peers that misbehave: each failure has the right reason, and none causes a hot loop.
#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_interceptor.h>

#include <boost/asio/steady_timer.hpp>
#include <conn_grpc/channel.hpp>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/environment_variable.hpp"
#include "support/listener.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"
#include "support/versions.hpp"

using namespace conn_grpc::test;

namespace {

/// The channel's last error after `waits` calls of its backoff.
std::string error_after(asio::io_context& io, observer& seen, int waits, conn_grpc::channel_options options) {
  conn_grpc::channel channel(io, seen.watch(std::move(options)));
  channel.async_run([](conn_grpc::error_code) {});
  std::string error;
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.waits >= waits; });
    error = channel.status().last_error;
    CHECK(channel.status().attempts == static_cast<std::uint64_t>(waits));
  }());
  return error;
}

/// Calls `reached` each millisecond until it returns true.
asio::awaitable<void> until_true(asio::io_context& io, std::function<bool()> reached) {
  asio::steady_timer retry(io);
  while (!reached()) {
    retry.expires_after(1ms);
    co_await retry.async_wait(asio::deferred);
  }
}

}  // namespace

TEST_CASE("a refused connection", "[failure]") {
  asio::io_context io;
  observer seen;
  const reserved_port closed;
  const auto error = error_after(io, seen, 3, {.address = closed.address()});
  CHECK_THAT(error, has_text("Connection refused") && has_text(closed.address()));
  CHECK(seen.connects == 0);
  CHECK(seen.disconnects == 0);
}

TEST_CASE("a connection that a proxy refuses, with the name of the proxy", "[failure]") {
  const reserved_port proxy;
  const reserved_port server;
  const environment_variable in_use("http_proxy", "http://me:secret@" + proxy.address());
  const environment_variable first("grpc_proxy", std::nullopt), second("https_proxy", std::nullopt);
  const bool exempt = GENERATE(false, true);
  const environment_variable not_for("no_grpc_proxy", exempt ? "127.0.0.1" : "example.org");
  asio::io_context io;
  observer seen;
  const auto error = error_after(io, seen, 2, {.address = server.address()});
  CHECK_THAT(error, has_text("Connection refused") && has_text((exempt ? server : proxy).address()));
  CHECK((error.find(" (the proxy " + proxy.address() + " of http_proxy)") != std::string::npos) == !exempt);
}

namespace {

/// Records the method of each call.
class recording_interceptors final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit recording_interceptors(std::function<void(std::string)> seen) : seen_(std::move(seen)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo* call) override {
    seen_(call->method());
    return nullptr;
  }

 private:
  std::function<void(std::string)> seen_;
};

}  // namespace

TEST_CASE("the call that asks for a reason has the method that the guide names", "[failure]") {
  asio::io_context io;
  observer seen;
  const reserved_port closed;
  std::mutex mutex;
  std::vector<std::string> methods;
  conn_grpc::channel_options options{.address = closed.address()};
  options.create_channel = [&](const auto& address, const auto& credentials, const auto& arguments) {
    std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> creators;
    creators.push_back(std::make_unique<recording_interceptors>([&](std::string method) {
      const std::lock_guard lock(mutex);
      methods.push_back(std::move(method));
    }));
    return grpc::experimental::CreateCustomChannelWithInterceptors(address, credentials, arguments,
                                                                   std::move(creators));
  };
  (void)error_after(io, seen, 2, options);
  const std::lock_guard lock(mutex);
  REQUIRE(methods.size() >= 2);
  for (const auto& method : methods) CHECK(method == "/conn_grpc/why");
  std::ifstream guide(std::getenv("GUIDE_MD"));
  const std::string page(std::istreambuf_iterator<char>(guide), {});
  CHECK_THAT(page, has_text("`/conn_grpc/why`"));
}

TEST_CASE("a refused connection, with a service config that retries", "[failure]") {
  asio::io_context io;
  observer seen;
  const reserved_port closed;
  conn_grpc::channel_options options{.address = closed.address()};
  options.arguments.SetServiceConfigJSON(R"({"methodConfig": [{"name": [{}], "retryPolicy": {
      "maxAttempts": 5, "initialBackoff": "100s", "maxBackoff": "100s", "backoffMultiplier": 1,
      "retryableStatusCodes": ["UNAVAILABLE"]}}]})");
  options.arguments.SetMaxSendMessageSize(100);
  CHECK_THAT(error_after(io, seen, 1, std::move(options)), has_text("Connection refused"));
}

TEST_CASE("a peer that accepts and closes", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::closes);
  CHECK_THAT(error_after(io, seen, 3, {.address = peer.address()}),
             has_text("Socket closed") || has_text("Connection reset") || has_text("Broken pipe"));
  CHECK(peer.accepted() == 3);
  CHECK(seen.connects == 0);
}

TEST_CASE("a peer that speaks HTTP/1", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::speaks_http1);
  CHECK_THAT(error_after(io, seen, 3, {.address = peer.address()}), has_text("Trying to connect an http1.x server"));
  CHECK(peer.accepted() == 3);
  CHECK(seen.connects == 0);
}

TEST_CASE("a peer that sends SETTINGS and closes", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::flaps);
  CHECK_THAT(error_after(io, seen, 5, {.address = peer.address()}),
             has_text("closed by the peer, no RPC in flight") || has_text("closed as soon as it was established"));
  CHECK(peer.accepted() == 5);  // one wait for each
  CHECK(seen.connects == seen.disconnects);
}

TEST_CASE("gRPC ends the attempt at a peer that never writes, with its own reason, and closes the connection",
          "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::stays_silent);
  CHECK_THAT(error_after(io, seen, 2, {.address = peer.address(), .connect_timeout = 50ms}),
             has_text("timed out before receiving SETTINGS frame") && has_text(peer.address()));
  // gRPC connects again at the moment at which it ends the attempt. That connection is
  // closed with the channel.
  CHECK(peer.accepted() >= 2);
  CHECK(peer.accepted() <= 4);
  run(io, until_true(io, [&] { return peer.closed_by_client() == peer.accepted(); }));
}

TEST_CASE("an attempt continues with the next address after a silent one", "[failure]") {
  asio::io_context io;
  observer seen;
  listener silent(io, manner::stays_silent);
  const server_process server(greeter_server(), "127.0.0.1:0");
  const auto good = "127.0.0.1:" + std::to_string(server.port());
  conn_grpc::channel channel(
      io, seen.watch({.address = "ipv4:" + silent.address() + "," + good, .connect_timeout = 150ms}));
  channel.async_run([](conn_grpc::error_code) {});
  run(io, seen.until([&] { return seen.connects == 1; }));
  CHECK(silent.accepted() == 1);
  CHECK(seen.waits == 0);
}

TEST_CASE("gRPC ends the look-up at a silent DNS server after connect_timeout", "[failure]") {
  asio::io_context io;
  observer seen;
  const asio::ip::udp::socket silent(io, {asio::ip::address_v4::loopback(), 0});
  const auto authority = "127.0.0.1:" + std::to_string(silent.local_endpoint().port());
  CHECK_THAT(error_after(io, seen, 1, {.address = "dns://" + authority + "/host.test:1", .connect_timeout = 200ms}),
             has_text(is_in_scope()    ? "asks the system's resolver only"
                      : is_grpc_1_51() ? "DNS resolution failed for host.test:1"
                                       : "errors resolving host.test:1"));
}

// The connection may have ended before gRPC is asked to watch it. If that were missed,
// one attempt in fifty would not end.
TEST_CASE("no attempt misses a connection that ends at once", "[failure]") {
  asio::io_context io;
  observer seen;
  seen.delay = [](int) { return 0ms; };
  listener peer(io, GENERATE(manner::flaps, manner::closes));
  (void)error_after(io, seen, 200, {.address = peer.address(), .connect_timeout = 10min});
}

TEST_CASE("a channel that is stopped while it connects leaves no socket", "[failure]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context io;
  for (int round = 0; round < 400; ++round) {
    conn_grpc::channel channel(io, {.address = "127.0.0.1:" + std::to_string(server.port())});
    channel.async_run([](conn_grpc::error_code) {});
    io.restart();
    // This ends between the first system call and the server's answer.
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(20 * (round % 40));
    while (std::chrono::steady_clock::now() < end) io.poll();
    channel.stop();
    io.restart();
    io.run();
  }
  run(io, until_true(io, [&] { return established_to(server.port()) == 0; }));
}

TEST_CASE("a channel that is stopped while it connects does not try all addresses", "[failure]") {
  asio::io_context io;
  observer seen;
  listener first(io, manner::stays_silent), second(io, manner::stays_silent), third(io, manner::stays_silent);
  {
    conn_grpc::channel channel(io,
                               {.address = "ipv4:" + first.address() + "," + second.address() + "," + third.address(),
                                .connect_timeout = 500ms});
    channel.async_run([](conn_grpc::error_code) {});
    run(io, until_true(io, [&] { return first.accepted() == 1; }));
  }
  run(io, until_true(io, [&] {
        return first.closed_by_client() == 1 && second.accepted() == second.closed_by_client() &&
               third.accepted() == third.closed_by_client();
      }));
  // Later versions try the addresses at intervals of 250 ms, not one after the other.
  if (is_grpc_1_51()) CHECK(third.accepted() == 0);
}

TEST_CASE("a DNS name that does not exist", "[failure]") {
  asio::io_context io;
  observer seen;
  nxdomain_server dns(io);
  const auto error = error_after(io, seen, 1, {.address = "dns://" + dns.authority() + "/no-such-host.test:50051"});
  if (is_in_scope()) {
    CHECK_THAT(error, has_text("asks the system's resolver only"));
    return;
  }
  CHECK_THAT(error, has_text(is_grpc_1_51() ? "DNS resolution failed for no-such-host.test:50051"
                                            : "errors resolving no-such-host.test:50051") &&
                        has_text("Domain name not found"));
}

TEST_CASE("a unix socket that does not exist", "[failure]") {
  asio::io_context io;
  observer seen;
  CHECK_THAT(error_after(io, seen, 2, {.address = "unix:/tmp/conn_grpc_no_such_socket"}),
             has_text("No such file or directory"));
}

TEST_CASE("an invalid target fails at once, with gRPC's reason", "[failure]") {
  asio::io_context io;
  observer seen;
  CHECK_THAT(
      error_after(io, seen, 2, {.address = "dns:///", .connect_timeout = 1h}),
      has_text(is_grpc_1_51() ? "Failed to create secure client channel" : "the target uri is not valid: dns:///"));
}

TEST_CASE("a listening socket sees attempts only when the backoff allows them", "[failure]") {
  asio::io_context io;
  observer seen;
  // 1500 ms is longer than gRPC's own backoff of one second, so a retry of gRPC's would
  // show.
  const std::deque<std::chrono::milliseconds> script{30ms, 1'500ms, 10ms, 120ms, 60ms, 60ms};
  seen.delay = [&](int call) { return script.at(static_cast<std::size_t>(call)); };
  const auto how = GENERATE(manner::closes, manner::speaks_http1);
  listener peer(io, how);
  (void)error_after(io, seen, static_cast<int>(script.size()), {.address = peer.address()});
  const auto& at = peer.accepted_at();
  REQUIRE(at.size() == script.size());
  // There is only a lower bound: the machine may delay an attempt, but an earlier attempt
  // would be a retry of gRPC's.
  for (std::size_t i = 1; i < at.size(); ++i) CHECK(at[i] - at[i - 1] >= script[i - 1]);
}
