// SPDX-License-Identifier: BSL-1.0
#include "support/namesake.hpp"

#include <conn_grpc/static_pool.hpp>

namespace conn_grpc::test {
namespace {

struct demo_pool : static_pool<demo_pool> {
  static pool_options options() { return {.name = "namesake", .channel = {.address = "unix:/nowhere"}}; }
};

}  // namespace

void run_namesake(boost::asio::io_context& io,
                  const std::function<void(const pool_status&, const pool_status&)>& report) {
  const auto before = demo_pool::status(io);
  demo_pool::async_run(io, [](error_code) {});
  report(before, demo_pool::status(io));
}

}  // namespace conn_grpc::test
