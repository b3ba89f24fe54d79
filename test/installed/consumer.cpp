// SPDX-License-Identifier: BSL-1.0
// A user's program: it uses every public name, with the installed headers alone.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/conn_grpc.hpp>
#include <cstdlib>
#include <iostream>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

class every_second final : public conn_grpc::backoff {
 public:
  std::chrono::milliseconds next() override { return 1s; }
  void reset() override {}
};

struct demo_pool : conn_grpc::static_pool<demo_pool> {
  static conn_grpc::pool_options options() { return {.pool_size = 2, .channel = {.address = "127.0.0.1:1"}}; }
};

struct demo_channel : conn_grpc::static_channel<demo_channel> {
  static conn_grpc::channel_options options() {
    return {.address = "127.0.0.1:1", .mock = [] { return conn_grpc::channel_ptr(); }, .telemetry = nullptr};
  }
};

/// Gets by type and by name, from pools and channels that run and cannot connect.
asio::awaitable<int> errors_of_static_ones() {
  int errors = 0;
  const auto try_to = [&](asio::awaitable<conn_grpc::channel_ptr> get) -> asio::awaitable<void> {
    try {
      (void)co_await std::move(get);
    } catch (const boost::system::system_error& e) {
      errors += e.code() == conn_grpc::errc::not_connected ? 1 : 0;
    }
  };
  co_await try_to(demo_pool::get_channel());
  co_await try_to(conn_grpc::get_channel("demo_pool"));
  co_await try_to(demo_channel::get());
  co_await try_to(conn_grpc::get_channel("demo_channel"));
  co_return errors;
}

asio::awaitable<void> greet(conn_grpc::pool& pool, conn_grpc::channel& single, int& errors) {
  try {
    const conn_grpc::channel_ptr channel = co_await pool.get_channel();
  } catch (const boost::system::system_error& e) {
    errors += e.code() == conn_grpc::errc::not_connected ? 1 : 0;
  }
  try {
    (void)co_await single.get();
  } catch (const boost::system::system_error& e) {
    errors += e.code() == conn_grpc::errc::not_started ? 1 : 0;
  }
  errors += co_await errors_of_static_ones();
  pool.stop();
  const auto context = (co_await asio::this_coro::executor).target<asio::io_context::executor_type>();
  demo_pool::stop(context->context());
  demo_channel::stop(context->context());
}

bool rejects_missing_file() {
  try {
    (void)conn_grpc::load_pool_options("/nowhere/pools.json", "greeter");
    return false;
  } catch (const boost::system::system_error& e) {
    return e.code() == conn_grpc::errc::invalid_options;
  }
}

}  // namespace

int main() {
  asio::io_context io;
  conn_grpc::pool pool{
      io,
      {.name = "greeter",
       .pool_size = 5,
       .channel = {.address = "127.0.0.1:1",
                   .credentials = nullptr,
                   .arguments = {},
                   .backoff = {100ms, 1s},
                   .make_backoff = [](conn_grpc::backoff_range) { return std::make_unique<every_second>(); },
                   .connect_timeout = 1s,
                   .stable_after = 1s,
                   .debug = true,
                   .on_connect = [] {},
                   .on_disconnect = [] {},
                   .create_channel = {},
                   .mock = {},
                   .telemetry = nullptr,
                   .max_restarts = 5,
                   .restart_window = 10s},
       .status_interval = 1s}};
  conn_grpc::channel single{io.get_executor(), {.name = "single", .address = "unix:/nowhere"}};
  int errors = 0;
  int gets = 0;
  bool ended = false;
  conn_grpc::telemetry::global()->attach("gets", conn_grpc::event::channel_get, [&](const auto&) { ++gets; });
  demo_pool::async_run(io, asio::detached);
  demo_channel::async_run(io, asio::detached);
  pool.async_run([&](conn_grpc::error_code ec) { ended = !ec; });
  asio::co_spawn(io, greet(pool, single, errors), asio::detached);
  io.run();

  const conn_grpc::pool_status status = pool.status();
  const bool good = errors == 6 && gets == 6 && ended && status.name == "greeter" && status.expected_size == 5 &&
                    status.current_size == 0 && status.channels[4].name == "greeter/4" &&
                    status.channels[0].state == conn_grpc::channel_state::stopped &&
                    single.status().state == conn_grpc::channel_state::not_started &&
                    pool.try_get_channel().error() == conn_grpc::errc::stopped && rejects_missing_file();
  std::cout << (good ? "as documented\n" : "not as documented\n");
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
