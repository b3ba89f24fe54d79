// SPDX-License-Identifier: BSL-1.0
// Each option of ConnGRPC, and its supervisor.
#include <grpcpp/create_channel.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

#include "coming_from_conngrpc.hpp"
#include "support/server_process.hpp"

namespace examples {
namespace {

using namespace std::chrono_literals;

//[backoff_class
/// min, 2 min, 3 min, …, max
class linear_backoff : public conn_grpc::backoff {
 public:
  explicit linear_backoff(conn_grpc::backoff_range range) : range_(range) {}  // new(opts)

  std::chrono::milliseconds next() override {  // backoff(state)
    wait_ = std::min(wait_ + range_.min, range_.max);
    return wait_;
  }

  void reset() override { wait_ = 0ms; }  // reset(state)

 private:
  conn_grpc::backoff_range range_;
  std::chrono::milliseconds wait_{};
};
//]

// Counts what the functions of the options did.
struct counts {
  int made = 0;
  int connected = 0;
  int disconnected = 0;
};

conn_grpc::channel_options all_options(counts& called) {
  //[options
  conn_grpc::channel_options options;
  options.name = "demo_channel";
  options.address = address;
  options.credentials = grpc::InsecureChannelCredentials();
  options.arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 300'000);
  options.arguments.SetCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  options.backoff = {.min = 1s, .max = 30s};
  options.debug = true;
  spdlog::set_level(spdlog::level::debug);  // the default is info
  options.on_connect = [&] { ++called.connected; };
  options.on_disconnect = [&] { ++called.disconnected; };
  //]
  options.backoff.min = 10ms;  // a test has no time
  //[backoff_module
  options.make_backoff = [](conn_grpc::backoff_range range) { return std::make_unique<linear_backoff>(range); };
  //]
  //[grpc_stub
  options.create_channel = [&](const std::string& target, const auto& credentials,
                               const grpc::ChannelArguments& arguments) {
    ++called.made;  // once per attempt to connect
    return grpc::CreateCustomChannel(target, credentials, arguments);
  };
  //]
  return options;
}

void answer_gets_by_a_mock(conn_grpc::channel_options options) {
  asio::io_context io;
  const auto fake = grpc::CreateChannel("unix:/nowhere", grpc::InsecureChannelCredentials());
  //[mock
  options.mock = [fake] { return fake; };  // a channel_ptr; null is not_connected
  //]
  conn_grpc::channel demo(io, options);
  require(*demo.try_get() == fake);
}

void have_no_channels(conn_grpc::channel_options options) {
  asio::io_context io;
  //[pool_size
  conn_grpc::pool pool(io, {.pool_size = 0, .channel = options});
  //]
  pool.async_run(asio::detached);
  require(pool.try_get_channel().error() == conn_grpc::errc::not_connected);
}

}  // namespace

void use_options(const std::string& server_executable) {
  const conn_grpc::test::reserved_port port;
  address = port.address();
  counts called;
  auto options = all_options(called);
  std::ostringstream log;
  options.logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
  options.logger->set_level(spdlog::level::debug);

  asio::io_context io;
  connection_news news(io);
  conn_grpc::channel demo(io, options);
  demo.async_run(asio::detached);
  const auto body = [&]() -> asio::awaitable<void> {
    co_await news.until([&] { return called.made == 2; });
    {
      const conn_grpc::test::server_process server(server_executable, address);
      co_await news.until([&] { return demo.try_get().has_value(); });
    }
    co_await news.until([&] { return demo.try_get().has_error(); });
    demo.stop();
  };
  asio::co_spawn(io, body, rethrow);
  io.run();
  require(called.connected == 1 && called.disconnected == 1);
  require(log.str().find("connecting -> connected") != std::string::npos);

  answer_gets_by_a_mock(options);
  have_no_channels(options);
}

void hit_the_restart_limit() {
  asio::io_context io;
  conn_grpc::channel_options options{
      .address = address,
      .logger = std::make_shared<spdlog::logger>("quiet", std::make_shared<spdlog::sinks::null_sink_st>()),
      .on_connect = [] { throw std::runtime_error("this is to go wrong"); }};
  bool gave_up = false;
  //[restarts
  options.max_restarts = 3;
  options.restart_window = 5s;
  conn_grpc::pool pool(io, {.name = "demo_pool", .pool_size = 5, .channel = options});
  pool.async_run([&](conn_grpc::error_code ec) { gave_up = ec == conn_grpc::errc::restart_limit; });
  //]
  io.run();
  require(gave_up);
}

}  // namespace examples
