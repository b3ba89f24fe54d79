// SPDX-License-Identifier: BSL-1.0
// Certificates that are replaced while they are in use.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/tls.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/certificates.hpp"
#include "support/environment.hpp"
#include "support/greeting.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"

using namespace conn_grpc::test;
namespace fs = std::filesystem;

namespace {

/// The client's files as an operator keeps them: key and chain in a folder that is
/// reached through a symbolic link.
class deployed {
 public:
  explicit deployed(const certificates& made) : made_(made), folder_(made.folder() / "deployed") {
    fs::create_directory(folder_);
  }

  void use_roots(const std::vector<std::string>& cas) const {
    std::ofstream to(folder_ / "new");
    for (const auto& ca : cas) to << std::ifstream(made_.chain(ca)).rdbuf();
    to.close();
    fs::rename(folder_ / "new", folder_ / "roots.pem");
  }

  void use_client(const std::string& name) {
    fs::create_directory(folder_ / name);
    fs::copy_file(made_.chain(name), folder_ / name / "chain.pem");
    fs::copy_file(made_.key(name), folder_ / name / "key.pem");
    // The times are more than a second apart. gRPC needs that to notice that it has read
    // one file of each pair.
    modified_ += 10s;
    for (const auto* file : {"chain.pem", "key.pem"}) fs::last_write_time(folder_ / name / file, modified_);
    fs::create_directory_symlink(name, folder_ / "new");
    fs::rename(folder_ / "new", folder_ / "client");
  }

  [[nodiscard]] conn_grpc::tls_files files() const {
    return {folder_ / "roots.pem", folder_ / "client" / "chain.pem", folder_ / "client" / "key.pem", 1s};
  }

 private:
  const certificates& made_;
  fs::path folder_;
  fs::file_time_type modified_ = fs::file_time_type::clock::now();
};

/// Coroutines that make one RPC after the other, each on the next channel. They record
/// the client that the server saw.
class load {
 public:
  load(asio::io_context& io, conn_grpc::pool& pool, observer& seen) : io_(io), pool_(pool), seen_(seen) {}

  void start(int callers) {
    stopping_ = false;
    for (int i = 0; i < callers; ++i) {
      ++running_;
      asio::co_spawn(io_, call(), asio::detached);
    }
  }

  asio::awaitable<void> stop() {
    stopping_ = true;
    co_await seen_.until([&] { return running_ == 0; });
  }

  /// True when every channel of the pool is connected, and was this client when it was
  /// last used.
  [[nodiscard]] bool all_are(const std::string& client) {
    const auto size = pool_.status().expected_size;
    if (pool_.status().current_size < size) return false;
    for (std::size_t i = 0; i < size; ++i)
      if (client_of_[*pool_.try_get_channel()] != client) return false;
    return true;
  }

  int served = 0;
  std::vector<std::string> failures;
  std::set<std::string> clients;

 private:
  asio::awaitable<void> call() {
    asio::steady_timer retry(io_);
    while (!stopping_) {
      if (const auto channel = pool_.try_get_channel()) {
        co_await call_on(*channel);
      } else {  // all channels are down at once, because the server closes every connection
        retry.expires_after(1ms);
        co_await retry.async_wait(asio::deferred);
      }
    }
    --running_;
    seen_.changed.notify();
  }

  asio::awaitable<void> call_on(conn_grpc::channel_ptr channel) {
    HelloRequest request;
    request.set_delay_ms(2);
    const auto [status, reply] = co_await greet(channel, request);
    if (status.ok()) {
      ++served;
      clients.insert(reply.client());
      client_of_[channel] = reply.client();
    } else {
      failures.push_back(status.error_message());
    }
    seen_.changed.notify();
  }

  asio::io_context& io_;
  conn_grpc::pool& pool_;
  observer& seen_;
  bool stopping_ = false;
  int running_ = 0;
  std::map<std::weak_ptr<grpc::Channel>, std::string, std::owner_less<>> client_of_;
};

/// A server that closes each connection after a second, and accepts clients of both CAs. The
/// test needs all connections at the same time, and on a loaded machine a handshake takes
/// tenths of a second.
std::unique_ptr<server_process> serve(const certificates& made, const std::string& name, const std::string& address) {
  const auto both = made.folder() / "both.pem";
  std::ofstream(both) << std::ifstream(made.chain("ca")).rdbuf() << std::ifstream(made.chain("new-ca")).rdbuf();
  const std::vector<std::string> options{"--tls", made.chain(name),       made.key(name), "--client-ca",
                                         both,    "--max-connection-age", "1000"};
  return std::make_unique<server_process>(greeter_server(), address, options);
}

}  // namespace

TEST_CASE("the client's certificate, the CA and the server's certificate are replaced under load", "[tls]") {
  certificates made;
  made.add_ca("new-ca");
  made.issue("server");
  made.issue("new-server", {.ca = "new-ca", .ip = "127.0.0.1", .expired = false});
  for (const auto* name : {"client-1", "client-2"}) made.issue(name);
  made.issue("client-3", {.ca = "new-ca", .ip = "127.0.0.1", .expired = false});
  deployed client(made);
  client.use_roots({"ca"});
  client.use_client("client-1");
  const reserved_port port;
  auto server = serve(made, "server", port.address());
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(
      io,
      {.pool_size = 6,
       .channel = seen.watch({.address = port.address(), .credentials = conn_grpc::tls_credentials(client.files())})});
  load calls(io, pool, seen);
  pool.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    calls.start(8);
    co_await seen.until([&] { return calls.all_are("client-1"); });
    CHECK(calls.clients == std::set<std::string>{"client-1"});

    client.use_roots({"ca", "new-ca"});
    client.use_client("client-2");
    co_await seen.until([&] { return calls.all_are("client-2"); });
    // gRPC reads the roots, then the client's files. When the third client is seen, the
    // roots have been read after the second client was there.
    client.use_client("client-3");
    co_await seen.until([&] { return calls.all_are("client-3"); });
    const int served = calls.served;
    CHECK(seen.disconnects > 6);  // connections were replaced meanwhile

    co_await calls.stop();  // RPCs in flight may fail when a server stops, with or without TLS
    for (const auto& channel : pool.status().channels) CHECK_THAT(channel.last_error, !has_text("certificate"));
    server->shut_down();
    server = serve(made, "new-server", port.address());
    calls.start(8);
    co_await seen.until([&] { return calls.served >= served + 100 && calls.all_are("client-3"); });
    // A server that stops closes attempts that are under way, like a server that refuses
    // the client.
    for (const auto& channel : pool.status().channels) CHECK_THAT(channel.last_error, !has_text("verify failed"));
    co_await calls.stop();
  }());
  CHECK(calls.failures == std::vector<std::string>{});
}

TEST_CASE("broken files are the reason of a failure, and connecting succeeds when they are good again", "[tls]") {
  certificates made;
  made.issue("server");
  made.issue("client-1");
  made.issue("client-2");
  const auto [broken, why] = GENERATE(table<std::string, std::string>({
      {"missing", "(root_certs: cannot read "},
      {"garbage", "(cert_chain: no certificate in "},
      {"half", "is not the key of the first certificate in "},
  }));
  deployed client(made);
  client.use_roots({"ca"});
  client.use_client("client-1");
  const auto files = client.files();
  const server_process server(greeter_server(), "127.0.0.1:0",
                              {"--tls", made.chain("server"), made.key("server"), "--client-ca", made.chain("ca"),
                               "--max-connection-age", "100"});
  asio::io_context io;
  observer seen;
  conn_grpc::channel channel(io, seen.watch({.address = "127.0.0.1:" + std::to_string(server.port()),
                                             .credentials = conn_grpc::tls_credentials(files)}));
  channel.async_run([](conn_grpc::error_code) {});
  run(io, [&]() -> asio::awaitable<void> {
    co_await seen.until([&] { return seen.connects > 0; });
    if (broken == "missing") fs::remove(files.root_certs);
    if (broken == "garbage") std::ofstream(files.cert_chain) << "garbage";
    if (broken == "half") fs::copy_file(made.key("client-2"), files.private_key, fs::copy_options::overwrite_existing);
    co_await seen.until([&] {
      const auto error = channel.status().last_error;
      return error.find("Failed to create security handshaker") != error.npos && error.find(why) != error.npos;
    });
    const int connects = seen.connects;
    client.use_roots({"ca"});
    client.use_client("client-2");
    co_await seen.until([&] { return seen.connects > connects; });
  }());
}
