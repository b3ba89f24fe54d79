// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// The functions that a static channel and a static pool have in common.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/detail/lookup.hpp>
#include <conn_grpc/detail/run.hpp>
#include <conn_grpc/options.hpp>

#include <concepts>
#include <string>
#include <typeinfo>
#include <utility>

namespace conn_grpc {

/// The functions that a `static_pool` and a `static_channel` have in common. Each
/// execution context has at most one instance of `Derived`, from `async_run` to its
/// completion.
///
/// The instance is found by its type. It is also found by its name, as any pool is. If
/// `Derived::options()` leaves the name empty, the name is that of the type, without
/// namespaces.
///
/// *Thread safety*: Any thread may call any function.
template <class Derived, class Options>
class static_lifecycle {
 public:
  /// Makes an instance from `Derived::options()`, and runs it on `executor` until `stop`.
  /// It connects the channels, and connects each of them again when it is lost. The
  /// completion signature is void(error_code).
  ///
  /// *Errors*: Completes with
  ///
  ///  - success, after `stop`. By then no channel of the instance is handed out or
  ///    connected, except those that callers keep. Every waiting get has completed;
  ///  - errc::stopped, at once, if the execution context has been destroyed;
  ///  - errc::restart_limit, if user code threw more than `channel_options::max_restarts`
  ///    times within `restart_window`;
  ///  - asio::error::already_started, at once, if an instance of `Derived` runs in the
  ///    context of `executor`;
  ///  - errc::name_taken, at once, if another channel or pool of the same name runs
  ///    there. That is logged as an error;
  ///  - asio::error::operation_aborted, if it was cancelled;
  ///  - boost::system::errc::not_enough_memory, if the memory for starting the channels
  ///    ran out.
  ///
  /// After an instance was stopped or has ended, another one may be run. The function
  /// throws boost::system::system_error with errc::invalid_options, and what
  /// `Derived::options()` throws.
  ///
  /// *Cancellation*: Any type stops the instance.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor. The
  /// default is `executor`. If the executor throws, the handler is posted to `executor`.
  /// If that throws, too, the handler is posted to the system executor.
  ///
  /// *Lifetime*: Until it completes, the operation is outstanding work: io_context::run
  /// does not return. If the execution context is destroyed first, the handler is
  /// destroyed and not called. The context of a handler's own executor must outlive the
  /// completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_run(const asio::any_io_executor& executor, Token&& token = {}) {
    Options options = Derived::options();
    if (options.name.empty()) options.name = type_name();
    return detail::async_run(detail::make_pool_impl(executor, options, key()), std::forward<Token>(token));
  }

  /// Makes an instance from `Derived::options()`, and runs it on the executor of
  /// `context` until `stop`. It connects the channels, and connects each of them again
  /// when it is lost. The completion signature is void(error_code).
  ///
  /// *Errors*: Completes with
  ///
  ///  - success, after `stop`. By then no channel of the instance is handed out or
  ///    connected, except those that callers keep. Every waiting get has completed;
  ///  - errc::stopped, at once, if the execution context has been destroyed;
  ///  - errc::restart_limit, if user code threw more than `channel_options::max_restarts`
  ///    times within `restart_window`;
  ///  - asio::error::already_started, at once, if an instance of `Derived` runs in
  ///    `context`;
  ///  - errc::name_taken, at once, if another channel or pool of the same name runs
  ///    there. That is logged as an error;
  ///  - asio::error::operation_aborted, if it was cancelled;
  ///  - boost::system::errc::not_enough_memory, if the memory for starting the channels
  ///    ran out.
  ///
  /// After an instance was stopped or has ended, another one may be run. The function
  /// throws boost::system::system_error with errc::invalid_options, and what
  /// `Derived::options()` throws.
  ///
  /// *Cancellation*: Any type stops the instance.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor. The
  /// default is the executor of `context`. If the executor throws, the handler is posted
  /// to the executor of `context`. If that throws, too, the handler is posted to the
  /// system executor.
  ///
  /// *Lifetime*: Until it completes, the operation is outstanding work: io_context::run
  /// does not return. If the execution context is destroyed first, the handler is
  /// destroyed and not called. The context of a handler's own executor must outlive the
  /// completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <std::derived_from<asio::execution_context> Context,
            asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  static auto async_run(Context& context, Token&& token = {}) {
    return async_run(asio::any_io_executor(context.get_executor()), std::forward<Token>(token));
  }

  /// Stops the instance that runs in `context`, for good, and returns at once. Does
  /// nothing if none runs there. `async_run` may then start another instance.
  ///
  /// No channel is handed out any more, and waiting gets end with errc::stopped. RPCs in
  /// flight go on. They, and callers that keep a channel, keep its connection open.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The calling thread completes the first 256 waiting gets. The execution
  /// context completes the others, so a thread must run it. So neither is blocked for
  /// long.
  static void stop(asio::execution_context& context) { detail::stop_by_key(context, key()); }

 protected:
  /// The key by which the instance is found.
  static const std::string& key() {
    static const auto& key =
        *new std::string(detail::key_of(typeid(Derived)));  // never destroyed: it may be used at exit
    return key;
  }
  /// The name of the type, without namespaces.
  static const std::string& type_name() {
    static const auto& name = *new std::string(detail::unqualified_name(typeid(Derived)));
    return name;
  }
};

}  // namespace conn_grpc
