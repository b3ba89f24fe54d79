// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// The error codes.

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/is_error_code_enum.hpp>
#include <conn_grpc/detail/config.hpp>

#include <type_traits>

namespace conn_grpc {

/// The type of the error codes of all operations.
using boost::system::error_code;

/// The errors of this library itself.
///
/// The text of `error_code::message()` is constant. The last error of a channel, in the
/// words of gRPC, is in the text of the exception and in `channel_status::last_error`.
enum class errc {
  /// No channel is connected. For a get with a timeout: no channel was connected in time.
  not_connected = 1,
  /// `async_run` has not been called, or has failed, or nothing runs under this name or
  /// type.
  not_started,
  /// `stop()` was called, or `async_run` has ended.
  stopped,
  /// Thrown by constructors, `load_pool_options`, `tls_credentials` and others. The text
  /// names the field.
  invalid_options,
  /// Another channel or pool of this name runs in this execution context.
  name_taken,
  /// User code threw more often than `channel_options::max_restarts` allows.
  restart_limit,
  /// `pool_options::max_waiters` gets wait already.
  too_many_waiters,
};

/// Returns the category "conn_grpc".
///
/// *Thread safety*: Any thread may call this function.
///
/// *Lifetime*: The category exists until the process ends.
[[nodiscard]] CONN_GRPC_API const boost::system::error_category& error_category() noexcept;

/// Makes an `error_code` of the category "conn_grpc". Boost calls it to convert an
/// `errc`.
///
/// *Thread safety*: Any thread may call this function.
[[nodiscard]] inline error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

}  // namespace conn_grpc

/// @cond
template <>
struct boost::system::is_error_code_enum<conn_grpc::errc> : std::true_type {};
/// @endcond
