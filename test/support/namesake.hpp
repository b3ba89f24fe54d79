// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <conn_grpc/status.hpp>
#include <functional>

namespace conn_grpc::test {

/// Runs, in that context, another file's `demo_pool` of an unnamed namespace, and tells its status before and after.
void run_namesake(boost::asio::io_context& io, const std::function<void(const pool_status&, const pool_status&)>& tell);

}  // namespace conn_grpc::test
