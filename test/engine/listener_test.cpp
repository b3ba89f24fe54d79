// SPDX-License-Identifier: BSL-1.0
// Servers inside of a scope: they accept, read and write in the user's io_context.
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <future>

#include "engine/engine_fixture.hpp"

using namespace conn_grpc::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using conn_grpc::event_engine_scope;

namespace {

/// Greets at once, on the thread that calls.
class greeter_here final : public Greeter::CallbackService {
 public:
  grpc::ServerUnaryReactor* SayHello(grpc::CallbackServerContext* context, const HelloRequest* request,
                                     HelloReply* reply) override {
    called_on = std::this_thread::get_id();
    reply->set_message("Hello " + request->name());
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  std::atomic<std::thread::id> called_on;
};

/// Greets on a thread of the server's.
class blocking_greeter final : public Greeter::Service {
 public:
  grpc::Status SayHello(grpc::ServerContext*, const HelloRequest* request, HelloReply* reply) override {
    reply->set_message("Hello " + request->name());
    return grpc::Status::OK;
  }
};

class server_here {
 public:
  explicit server_here(const std::string& address, grpc::Service* service = nullptr) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(service != nullptr ? service : &service_);
    server_ = builder.BuildAndStart();
    if (!server_) throw std::runtime_error("cannot listen on " + address);
  }
  /// Waits for gRPC, so it is called on a thread that does not run the context.
  void shut_down() { server_->Shutdown(std::chrono::system_clock::now() + 5s); }

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::thread::id called_on() const { return service_.called_on; }

 private:
  greeter_here service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

TEST_CASE("a server and its clients on one thread", "[engine][listener]") {
  const auto over = GENERATE("127.0.0.1:0", "[::1]:0", "unix-abstract:");
  asio::io_context io;
  const event_engine_scope scope(io);
  std::string address = over;
  if (address.starts_with("unix")) address += "conn_grpc-listener-" + std::to_string(::getpid());
  server_here server(address);
  if (!address.starts_with("unix")) address = address.substr(0, address.size() - 1) + std::to_string(server.port());
  int ok = 0;
  {
    const auto channel = bare_channel(address);
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          for (int i = 0; i < 100; ++i) {
            const auto status = co_await say_hello(channel);
            INFO(status.error_message());
            if (status.ok()) ++ok;
          }
        },
        asio::detached);
    io.run();
    CHECK(ok == 100);
    CHECK(server.called_on() == std::this_thread::get_id());
  }
  background running(io);
  server.shut_down();
}

TEST_CASE("a synchronous service", "[engine][listener]") {
  asio::io_context io;
  const event_engine_scope scope(io);
  blocking_greeter service;
  server_here server("127.0.0.1:0", &service);
  bare_call call(bare_channel("127.0.0.1:" + std::to_string(server.port())));
  call.start();
  run_grpc_until(io, [&] { return call.called.load(); });
  CHECK(call.status.ok());
  background running(io);
  server.shut_down();
}

TEST_CASE("many connections at once, and a server that comes back to its port", "[engine][listener]") {
  asio::io_context io;
  const event_engine_scope scope(io);
  background running(io, 2);
  int port = 0;
  for (int round = 0; round < 3; ++round) {
    server_here server("127.0.0.1:" + std::to_string(port));
    port = server.port();
    conn_grpc::pool pool{
        io, {.name = "pool", .pool_size = 100, .channel = {.address = "127.0.0.1:" + std::to_string(port)}}};
    pool.async_run(asio::detached);
    pool.async_connected(100, 20s, asio::use_future).get();
    pool.stop();
    server.shut_down();
  }
}

TEST_CASE("a port that is taken is refused with the reason", "[engine][listener]") {
  const reserved_port taken;
  asio::io_context io;
  const event_engine_scope scope(io);
  background running(io);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(taken.number()), grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  greeter_here service;
  builder.RegisterService(&service);
  CHECK(builder.BuildAndStart() == nullptr);
}

TEST_CASE("the scope ends while a server of it serves", "[engine][listener]") {
  asio::io_context io;
  std::optional<server_here> server;
  std::optional<event_engine_scope> scope(std::in_place, io);
  server.emplace("127.0.0.1:0");
  const auto channel = bare_channel("127.0.0.1:" + std::to_string(server->port()));
  bare_call before(channel);
  before.start();
  run_grpc_until(io, [&] { return before.called.load(); });
  CHECK(before.status.ok());
  scope.reset();
  bare_call after(channel);
  after.start();
  wait_until([&] { return after.called.load(); });
  CHECK_FALSE(after.status.ok());
  server->shut_down();
}
