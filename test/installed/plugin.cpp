// SPDX-License-Identifier: BSL-1.0
// A plugin that uses the library, and leaves a channel that gRPC still watches for it.
#include <grpcpp/create_channel.h>
#include <boost/asio/io_context.hpp>
#include <conn_grpc/channel.hpp>

extern "C" [[gnu::visibility("default")]] void leave_a_channel_to(const char* address) {
  static auto* const left = new conn_grpc::channel_ptr;
  boost::asio::io_context io;
  conn_grpc::channel_options options{.address = address};
  options.create_channel = [](const auto& to, const auto& credentials, const auto& all) {
    *left = grpc::CreateCustomChannel(to, credentials, all);
    return *left;
  };
  conn_grpc::channel* connecting = nullptr;
  options.on_connect = [&] { connecting->stop(); };
  conn_grpc::channel channel(io, options);
  connecting = &channel;
  channel.async_run([](conn_grpc::error_code) {});
  io.run();
}
