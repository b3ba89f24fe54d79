// SPDX-License-Identifier: BSL-1.0
// configuration: a pool out of pools.json, in the working directory, with what only code can say.
#include <boost/asio/io_context.hpp>
#include <conn_grpc/conn_grpc.hpp>
#include <cstdio>
#include <utility>

#include "example_test.hpp"

int main() {
  boost::asio::io_context io;
  //[configuration
  auto options = conn_grpc::load_pool_options("pools.json", "greeter");
  options.channel.on_connect = [] { std::puts("connected"); };                   // only in code
  options.channel.arguments.SetInt(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, 1'024);  // whatever the file says
  conn_grpc::pool pool{io, std::move(options)};
  //]
  examples::require(pool.status().name == "greeter" && pool.status().expected_size == 5);
}
