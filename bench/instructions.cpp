// SPDX-License-Identifier: BSL-1.0
// How many instructions does a get take? `check-instructions` runs this under callgrind:
// instructions, unlike nanoseconds, are the same each time.
#include <conn_grpc/named.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/static_pool.hpp>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <valgrind/callgrind.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <memory>
#include <utility>

#include "other_pools.hpp"
#include "support.hpp"

namespace {

namespace asio = boost::asio;
using namespace conn_grpc::bench;
using namespace std::chrono_literals;

constexpr int gets = 1'000;

/// Connected without a network, so that gRPC's threads have nothing to do.
conn_grpc::pool_options options(grpc::Server& server) {
  conn_grpc::channel_options channel{.address = "in process"};
  channel.create_channel = [&server](const auto&, const auto&, const grpc::ChannelArguments& arguments) {
    return server.InProcessChannel(arguments);
  };
  return {.name = "counted", .pool_size = 5, .channel = std::move(channel)};
}

grpc::Server* typed_server = nullptr;
struct typed_pool : conn_grpc::static_pool<typed_pool> {
  static conn_grpc::pool_options options() {
    auto typed = ::options(*typed_server);
    typed.name = "typed";
    return typed;
  }
};

template <class Measured>
void count(const char* name, Measured measured) {
  measured();  // what is done only once
  CALLGRIND_ZERO_STATS;
  measured();
  CALLGRIND_DUMP_STATS_AT(name);
}

template <class Get>
void count_calls(const char* name, Get get) {
  count(name, [&] {
    for (int i = 0; i < gets; ++i) keep(get());
  });
}

/// All gets in one coroutine, on this thread.
template <class Get>
void count_awaits(const char* name, asio::io_context& io, Get get) {
  count(name, [&] {
    bool done = false;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          for (int i = 0; i < gets; ++i) keep(co_await get());
          done = true;
        },
        asio::detached);
    while (!done) io.run_one();
  });
}

}  // namespace

int main() try {
  ::setenv("GRPC_VERBOSITY", "NONE", 1);  // gRPC would log that an in-process channel is no client channel
  grpc::AsyncGenericService service;
  grpc::ServerBuilder builder;
  builder.RegisterAsyncGenericService(&service);
  const auto queue = builder.AddCompletionQueue();
  const auto server = builder.BuildAndStart();
  typed_server = server.get();

  asio::io_context io;
  conn_grpc::pool pool(io, options(*server));
  pool.async_run(asio::detached);
  typed_pool::async_run(io, asio::detached);
  while (pool.status().current_size < 5 || typed_pool::status(io).current_size < 5) io.run_one();

  member_list members(5);
  for (auto& member : members) member = pool.try_get_channel().value();
  limit_pool limit(std::move(members));

  count_calls("limit", [&] { return limit.get(); });
  count_calls("try_get_channel()", [&] { return pool.try_get_channel(); });
  count_awaits("co_await limit", io, [&] { return awaited(limit); });
  count_awaits("co_await get_channel()", io, [&] { return pool.get_channel(); });
  count_awaits("co_await get_channel(timeout)", io, [&] { return pool.get_channel(1s); });
  count_awaits("co_await get_channel(name)", io, [] { return conn_grpc::get_channel("counted"); });
  count_awaits("co_await static get_channel()", io, [] { return typed_pool::get_channel(); });

  pool.stop();
  typed_pool::stop(io);
  io.run();
  server->Shutdown(std::chrono::system_clock::now());
  queue->Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue->Next(&tag, &ok)) {
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "instructions: %s\n", e.what());
  return 1;
}
