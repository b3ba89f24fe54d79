// SPDX-License-Identifier: BSL-1.0
// The functions that public templates call on a pool, which is an incomplete type there.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <conn_grpc/detail/initiation.hpp>
#include <conn_grpc/detail/posted_handler.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/options.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::detail {

class pool_impl;

using run_handler = asio::any_completion_handler<void(const fallback&, error_code)>;

/// Makes the implementation of a pool, or of a channel that belongs to no pool.
/// @param type_key Of a static_pool or static_channel; otherwise empty.
/// @throws boost::system::system_error with errc::invalid_options.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<pool_impl> make_pool_impl(const asio::any_io_executor& executor,
                                                                      const pool_options& options,
                                                                      std::string type_key);
[[nodiscard]] CONN_GRPC_API std::shared_ptr<pool_impl> make_pool_impl(const asio::any_io_executor& executor,
                                                                      const channel_options& options,
                                                                      std::string type_key);

/// Starts the pool, and calls the handler when it has ended.
/// @param handler It posts, so any thread may call it, inside any function.
CONN_GRPC_API void start(pool_impl& started, run_handler handler);

/// Ends the gets, and stops the pool when its RPCs have ended. Then calls the handler.
/// @param handler It posts, so any thread may call it, inside any function.
CONN_GRPC_API void drain(pool_impl& drained, run_handler handler, std::chrono::nanoseconds timeout);

/// Changes the number of channels to each address. Then calls the handler.
/// @param handler It posts, so any thread may call it, inside any function.
CONN_GRPC_API void resize(pool_impl& resized, run_handler handler, std::size_t size);

/// Posts a handler whose own executor threw: to the pool's executor, or, if that throws,
/// too, to the system executor.
[[nodiscard]] CONN_GRPC_API const fallback& fallback_of(const pool_impl& started) noexcept;

template <asio::completion_token_for<void(error_code)> Token>
auto async_run(std::shared_ptr<pool_impl> started, Token&& token) {
  auto begin = [](auto handler, const pool_target& target) {
    start(*target.pool, posted_handler(std::move(handler), target.get_executor()));
  };
  return asio::async_initiate<Token, void(error_code)>(initiation(pool_target{std::move(started)}, begin), token);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_resize(std::shared_ptr<pool_impl> resized, std::size_t size, Token&& token) {
  auto begin = [size](auto handler, const pool_target& target) {
    resize(*target.pool, posted_handler(std::move(handler), target.get_executor()), size);
  };
  return asio::async_initiate<Token, void(error_code)>(initiation(pool_target{std::move(resized)}, begin), token);
}

template <asio::completion_token_for<void(error_code)> Token>
auto async_drain(std::shared_ptr<pool_impl> drained, std::chrono::nanoseconds timeout, Token&& token) {
  auto begin = [timeout](auto handler, const pool_target& target) {
    drain(*target.pool, posted_handler(std::move(handler), target.get_executor()), timeout);
  };
  return asio::async_initiate<Token, void(error_code)>(initiation(pool_target{std::move(drained)}, begin), token);
}

}  // namespace conn_grpc::detail
