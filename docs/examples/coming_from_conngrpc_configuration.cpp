// SPDX-License-Identifier: BSL-1.0
// coming_from_conngrpc_configuration: a pool's options out of pools.json, in the working directory.
#include <boost/asio/detached.hpp>
#include <conn_grpc/configuration.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include "example_test.hpp"

namespace {

namespace asio = boost::asio;

//[configuration
struct greeter : conn_grpc::static_pool<greeter> {
  static conn_grpc::pool_options options() { return conn_grpc::load_pool_options("pools.json", "greeter"); }
};
//]

}  // namespace

int main() {
  examples::end_within_a_minute();
  asio::io_context io;
  greeter::async_run(io, asio::detached);
  examples::require(greeter::status(io).name == "greeter" && greeter::status(io).expected_size == 5);
}
