// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/strand.hpp>

namespace conn_grpc::runtime {

/// The strand of a pool, on which all its coroutines run.
using strand_type = boost::asio::strand<boost::asio::any_io_executor>;

/// A coroutine on that strand. With the default executor, asio::any_io_executor, each
/// operation that it awaits would allocate: the strand is too large for the space inside
/// an any_io_executor.
template <class T = void>
using strand_awaitable = boost::asio::awaitable<T, strand_type>;

}  // namespace conn_grpc::runtime
