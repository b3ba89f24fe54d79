// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/strand.hpp>

namespace conn_grpc::runtime {

/// Where all that a pool does happens.
using strand_type = boost::asio::strand<boost::asio::any_io_executor>;

/// Of a coroutine there. With the default executor, asio::any_io_executor, each operation that it awaits would allocate
/// for the strand in it, which is too large to be kept inside.
template <class T = void>
using strand_awaitable = boost::asio::awaitable<T, strand_type>;

}  // namespace conn_grpc::runtime
