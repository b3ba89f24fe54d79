// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/is_error_code_enum.hpp>
#include <conn_grpc/detail/config.hpp>

#include <type_traits>

namespace conn_grpc {

using boost::system::error_code;

/// What this library itself reports. The text of `error_code::message()` is the same each time; what gRPC
/// said of the last failed attempt is in the text of the exception and in `channel_status::last_error`.
enum class errc {
  not_connected = 1,  ///< no channel is connected now
  not_started,        ///< `async_run` has not been called; or nothing runs under this name
  stopped,            ///< `stop()` has been called, or `async_run` has ended
  invalid_options,    ///< thrown by constructors, `load_pool_options`, …; the text names the field
  name_taken,         ///< another channel or pool of this name runs in this execution context
  restart_limit,      ///< user code threw too often, see `async_run`
  too_many_waiters,   ///< `pool_options::max_waiters` wait already
};

/// The category "conn_grpc". Thread-safe, lives for ever.
[[nodiscard]] CONN_GRPC_API const boost::system::error_category& error_category() noexcept;

[[nodiscard]] inline error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

}  // namespace conn_grpc

template <>
struct boost::system::is_error_code_enum<conn_grpc::errc> : std::true_type {};
