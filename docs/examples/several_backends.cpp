// SPDX-License-Identifier: BSL-1.0
// several_backends GREETER_SERVER: the snippets of docs/several-backends.md, run against
// three servers.
#include <grpcpp/grpcpp.h>
#include <boost/asio.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <chrono>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "example_test.hpp"
#include "greeter.grpc.pb.h"
#include "support/server_process.hpp"

namespace {

namespace asio = boost::asio;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using examples::require;
using namespace std::chrono_literals;

//[addresses
conn_grpc::pool_options options_for(std::vector<std::string> servers) {
  return {.name = "greeter",
          .pool_size = 2,                      // channels to each address
          .channel = {.connect_timeout = 2s},  // how long a new connection to a silent server may take
          .addresses = std::move(servers)};    // {"10.0.0.1:50051", "10.0.0.2:50051", "10.0.0.3:50051"}
}
//]

//[discovery
// Asks for the addresses of a name again and again.
asio::awaitable<void> follow(conn_grpc::pool& pool, std::string host, std::string port, std::chrono::seconds interval) {
  const auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::resolver resolver(executor);
  asio::steady_timer timer(executor);
  for (;;) {
    auto [ec, found] = co_await resolver.async_resolve(host, port, asio::as_tuple(asio::use_awaitable));
    std::vector<std::string> addresses;
    for (const auto& entry : found) addresses.push_back((std::ostringstream() << entry.endpoint()).str());
    if (!ec && !addresses.empty()) pool.set_addresses(addresses);  // an empty list would withdraw everything
    timer.expires_after(interval);
    co_await timer.async_wait(asio::use_awaitable);
  }
}
//]

//[suspect
asio::awaitable<grpc::Status> greet(conn_grpc::pool& pool, const HelloRequest& request, HelloReply& reply) {
  const auto channel = co_await pool.get_channel(1s);
  const auto stub = Greeter::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 500ms);
  auto status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) pool.suspect(channel, "no answer within 500 ms");
  co_return status;
}
//]

//[repeat
// Only for an RPC that may be executed twice.
asio::awaitable<grpc::Status> greet_twice_if_needed(conn_grpc::pool& pool, const HelloRequest& request,
                                                    HelloReply& reply) {
  auto status = co_await greet(pool, request, reply);
  const auto code = status.error_code();
  if (code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::CANCELLED)
    status = co_await greet(pool, request, reply);  // the pool does not return the lost channel
  co_return status;
}
//]

conn_grpc::pool_options left_to_grpc(const std::string& target) {
  //[round_robin
  conn_grpc::pool_options options{.name = "by gRPC", .channel = {.address = target}};  // "dns:///greeter:50051"
  options.channel.arguments.SetLoadBalancingPolicyName("round_robin");
  //]
  return options;
}

void set_keepalive(conn_grpc::pool_options& options) {
  //[keepalive
  auto& arguments = options.channel.arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);    // ping after 10 s without a byte from the server
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);  // and close the connection 5 s later
  //]
}

void permit_keepalive(grpc::ServerBuilder& builder) {
  //[server
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  //]
}

// Which servers answer six RPCs.
asio::awaitable<std::set<std::string>> who_answers(conn_grpc::pool& pool) {
  std::set<std::string> peers;
  for (int i = 0; i < 6; ++i) {
    const auto stub = Greeter::NewStub(co_await pool.get_channel(5s));
    grpc::ClientContext context;
    HelloReply reply;
    const auto status =
        co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, HelloRequest(), reply);
    require(status.ok());
    peers.insert(context.peer());
  }
  co_return peers;
}

asio::awaitable<void> run(conn_grpc::pool& pool, std::vector<std::string> servers, asio::cancellation_signal& end) {
  co_await pool.connected(6, 10s);
  require((co_await who_answers(pool)).size() == 3);

  HelloRequest request;
  HelloReply reply;
  request.set_name("world");
  require((co_await greet_twice_if_needed(pool, request, reply)).ok());

  const auto executor = co_await asio::this_coro::executor;
  const auto port = servers.front().substr(servers.front().find(':') + 1);
  asio::co_spawn(executor, follow(pool, "127.0.0.1", port, 1h), asio::bind_cancellation_slot(end.slot(), [](auto) {}));
  while (pool.status().channels.size() != 2) co_await asio::post(asio::use_awaitable);
  require((co_await who_answers(pool)).size() == 1);
  end.emit(asio::cancellation_type::terminal);
  pool.stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  examples::end_within_a_minute();
  const conn_grpc::test::server_process a(argv[1], "127.0.0.1:0");
  const conn_grpc::test::server_process b(argv[1], "127.0.0.1:0");
  const conn_grpc::test::server_process c(argv[1], "127.0.0.1:0");
  std::vector<std::string> servers;
  for (const auto* server : {&a, &b, &c}) servers.push_back("127.0.0.1:" + std::to_string(server->port()));

  asio::io_context io;
  auto options = options_for(servers);
  set_keepalive(options);
  conn_grpc::pool pool(io, options);
  pool.async_run(asio::detached);
  asio::cancellation_signal end;
  asio::co_spawn(io, run(pool, servers, end), examples::rethrow);
  io.run();

  grpc::ServerBuilder builder;
  permit_keepalive(builder);
  conn_grpc::pool by_grpc(io, left_to_grpc("ipv4:" + servers[0] + "," + servers[1]));
  by_grpc.async_run(asio::detached);
  by_grpc.async_connected(1, 10s, [&](conn_grpc::error_code ec) {
    require(!ec);
    by_grpc.stop();
  });
  io.restart();
  io.run();
}
