// SPDX-License-Identifier: BSL-1.0
// Peers that misbehave: each with the right reason, and none with a hot loop.
#include <boost/asio/steady_timer.hpp>
#include <conn_grpc/channel.hpp>
#include <deque>
#include <memory>
#include <string>

#include "support/catch.hpp"
#include "support/listener.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
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

}  // namespace

TEST_CASE("refused", "[failure]") {
  asio::io_context io;
  observer seen;
  const reserved_port closed;
  const auto error = error_after(io, seen, 3, {.address = closed.address()});
  CHECK_THAT(error, has_text("Connection refused") && has_text(closed.address()));
  CHECK(seen.connects == 0);
  CHECK(seen.disconnects == 0);
}

TEST_CASE("accepts and closes", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::closes);
  CHECK_THAT(error_after(io, seen, 3, {.address = peer.address()}),
             has_text("Socket closed") || has_text("Connection reset") || has_text("Broken pipe"));
  CHECK(peer.accepted() == 3);
  CHECK(seen.connects == 0);
}

TEST_CASE("speaks HTTP/1", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::speaks_http1);
  CHECK_THAT(error_after(io, seen, 3, {.address = peer.address()}), has_text("Trying to connect an http1.x server"));
  CHECK(peer.accepted() == 3);
  CHECK(seen.connects == 0);
}

TEST_CASE("flaps: sends SETTINGS and closes", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::flaps);
  CHECK_THAT(error_after(io, seen, 5, {.address = peer.address()}),
             has_text("connection lost after") || has_text("closed as soon as it was established"));
  CHECK(peer.accepted() == 5);  // one wait for each
  CHECK(seen.connects == seen.disconnects);
}

TEST_CASE("accepts and never writes: connect_timeout, and the connection is closed", "[failure]") {
  asio::io_context io;
  observer seen;
  listener peer(io, manner::stays_silent);
  CHECK(error_after(io, seen, 2, {.address = peer.address(), .connect_timeout = 50ms}) ==
        "connect_timeout of 50 ms expired");
  CHECK(peer.accepted() == 2);
  // The second one is closed with the second attempt, while its backoff was asked, or with the channel.
  run(io, [&]() -> asio::awaitable<void> {
    asio::steady_timer retry(io);
    while (peer.closed_by_client() < 2) {
      retry.expires_after(1ms);
      co_await retry.async_wait(asio::deferred);
    }
  }());
}

TEST_CASE("a DNS name that does not exist", "[failure]") {
  asio::io_context io;
  observer seen;
  ignorant_dns_server dns(io);
  CHECK_THAT(error_after(io, seen, 1, {.address = "dns://" + dns.authority() + "/no-such-host.test:50051"}),
             has_text(is_grpc_1_51() ? "DNS resolution failed for no-such-host.test:50051"
                                     : "errors resolving no-such-host.test:50051") &&
                 has_text("Domain name not found"));
}

TEST_CASE("a unix socket that does not exist", "[failure]") {
  asio::io_context io;
  observer seen;
  CHECK_THAT(error_after(io, seen, 2, {.address = "unix:/tmp/conn_grpc_no_such_socket"}),
             has_text("No such file or directory"));
}

TEST_CASE("a target that is none is told at once, in gRPC's words", "[failure]") {
  asio::io_context io;
  observer seen;
  CHECK_THAT(
      error_after(io, seen, 2, {.address = "dns:///", .connect_timeout = 1h}),
      has_text(is_grpc_1_51() ? "Failed to create secure client channel" : "the target uri is not valid: dns:///"));
}

TEST_CASE("what a listening socket sees is what the backoff said", "[failure]") {
  asio::io_context io;
  observer seen;
  // 1500 ms is longer than gRPC's own backoff of one second: a retry of its own would show.
  const std::deque<std::chrono::milliseconds> script{30ms, 1'500ms, 10ms, 120ms, 60ms, 60ms};
  seen.delay = [&](int call) { return script.at(static_cast<std::size_t>(call)); };
  const auto how = GENERATE(manner::closes, manner::speaks_http1);
  listener peer(io, how);
  (void)error_after(io, seen, static_cast<int>(script.size()), {.address = peer.address()});
  const auto& at = peer.accepted_at();
  REQUIRE(at.size() == script.size());
  // A lower bound only: later is the machine's doing, earlier would be a retry that nobody asked for.
  for (std::size_t i = 1; i < at.size(); ++i) CHECK(at[i] - at[i - 1] >= script[i - 1]);
}
