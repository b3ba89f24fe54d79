// SPDX-License-Identifier: BSL-1.0
// A user's program with a pool. It also uses protobuf, and spdlog to show the transitions.
#include <google/protobuf/wrappers.pb.h>
#include <spdlog/spdlog.h>

#include <boost/asio/io_context.hpp>
#include <conn_grpc/conn_grpc.hpp>
#include <iostream>

static_assert(CONN_GRPC_VERSION >= 200);

int main() {
  spdlog::set_level(spdlog::level::debug);
  boost::asio::io_context io;
  conn_grpc::pool pool{io, {.name = "consumer", .channel = {.address = "127.0.0.1:1", .debug = true}}};
  google::protobuf::StringValue result;
  pool.async_run([&](conn_grpc::error_code ec) { result.set_value(ec.message()); });
  pool.stop();
  io.run();
  std::cout << result.value() << '\n';
  return result.value() == "Success" ? 0 : 1;
}
