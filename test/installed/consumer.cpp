// SPDX-License-Identifier: BSL-1.0
// A user's program: every public name, from the installed headers alone.
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
  pool.stop();
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
                   .create_channel = {}},
       .status_interval = 1s}};
  conn_grpc::channel single{io.get_executor(), {.name = "single", .address = "unix:/nowhere"}};
  int errors = 0;
  bool ended = false;
  pool.async_run([&](conn_grpc::error_code ec) { ended = !ec; });
  asio::co_spawn(io, greet(pool, single, errors), asio::detached);
  io.run();

  const conn_grpc::pool_status status = pool.status();
  const bool good = errors == 2 && ended && status.name == "greeter" && status.expected_size == 5 &&
                    status.current_size == 0 && status.channels[4].name == "greeter/4" &&
                    status.channels[0].state == conn_grpc::channel_state::stopped &&
                    single.status().state == conn_grpc::channel_state::not_started &&
                    pool.try_get_channel().error() == conn_grpc::errc::stopped;
  std::cout << (good ? "as documented\n" : "not as documented\n");
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
