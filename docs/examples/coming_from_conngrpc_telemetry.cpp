// SPDX-License-Identifier: BSL-1.0
// ConnGRPC's events.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <array>
#include <cstddef>
#include <iostream>
#include <map>

#include "coming_from_conngrpc.hpp"

namespace examples {
namespace {

std::map<conn_grpc::event, int> heard;

//[handle_event
void handle_event(const conn_grpc::telemetry_event& e) {
  using conn_grpc::event;
  switch (e.name) {
    case event::pool_status:
      std::cout << e.pool_name << ": " << e.current_size << " of " << e.expected_size << '\n';
      break;
    case event::channel_connected:
    case event::channel_disconnected:
    case event::channel_connection_failed:
    case event::channel_get:
    case event::pool_get_channel:
    case event::call_ended:
      std::cout << to_string(e.name) << ' ' << e.pool_name << ' ' << e.channel_name << ' ' << e.duration.count()
                << " ns " << e.error << '\n';
  }
}
//]

void count(const conn_grpc::telemetry_event& e) { ++heard[e.name]; }

}  // namespace

void hear_events() {
  //[attach
  using conn_grpc::event;
  auto& telemetry = *conn_grpc::telemetry::global();
  telemetry.attach("log-handler", event::channel_connected, handle_event);
  //]
  //[attach_many
  const std::array names{event::pool_get_channel, event::pool_status};
  telemetry.attach_many("pool-handler", names, handle_event);
  //]
  telemetry.attach_many("count", conn_grpc::all_events, count);

  asio::io_context io;
  connection_news news(io);
  conn_grpc::pool pool(io, {.name = "demo_pool", .pool_size = 2, .channel = {.address = address}});
  pool.async_run(asio::detached);
  const auto body = [&]() -> asio::awaitable<void> {
    co_await news.until([&] { return heard[event::channel_connected] == 2; });
    require(pool.try_get_channel().has_value());
    pool.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();

  require(heard[event::channel_get] == 1 && heard[event::pool_get_channel] == 1);
  require(heard[event::channel_disconnected] == 2 && heard[event::pool_status] >= 1);
  //[detach
  telemetry.detach("log-handler");
  //]
  require(!telemetry.detach("log-handler"));
  require(telemetry.detach("pool-handler"));
  require(telemetry.detach("count"));
}

}  // namespace examples
