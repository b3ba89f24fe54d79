// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <conn_grpc/status.hpp>
#include <functional>

namespace conn_grpc::test {

/// Runs another file's `demo_pool` of an unnamed namespace in that context, and reports
/// its status before and after.
void run_namesake(boost::asio::io_context& io,
                  const std::function<void(const pool_status&, const pool_status&)>& report);

}  // namespace conn_grpc::test
