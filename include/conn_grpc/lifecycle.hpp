// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// The functions that a channel and a pool have in common.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <conn_grpc/detail/run.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <memory>
#include <utility>

namespace conn_grpc {

class lifecycle;

/// @cond
namespace detail {
[[nodiscard]] CONN_GRPC_API const std::shared_ptr<pool_impl>& shared_state(const lifecycle& of) noexcept;
}
/// @endcond

/// The functions that a `channel` and a `pool` have in common. Both work between
/// `async_run` and `stop()`, on a strand of the executor that they were constructed with.
///
/// *Errors*: When memory runs out, noexcept functions terminate the process, and other
/// functions throw std::bad_alloc.
///
/// *Thread safety*: Any thread may call any function, also while other threads call
/// functions of the same object. No thread may be calling a function while the object is
/// being destroyed. A get that is still waiting does not count.
///
/// *Lifetime*: The object may be destroyed in any state: while it runs, inside one of its
/// own callbacks, before or after its execution context. Destruction is a `stop()`, and
/// waits for nothing. Channels that were handed out stay valid. From then on they are
/// ordinary gRPC channels.
class CONN_GRPC_API lifecycle {
 public:
  /// The type of the executor that the object was constructed with.
  using executor_type = asio::any_io_executor;

  lifecycle(const lifecycle&) = delete;
  lifecycle& operator=(const lifecycle&) = delete;

  /// Connects the channels, and connects each of them again when it is lost, until
  /// `stop()`. The completion signature is void(error_code).
  ///
  /// *Errors*: Completes with
  ///
  ///  - success, after `stop()` or destruction. By then no channel of the object is
  ///    handed out or connected, except those that callers keep. Every waiting get has
  ///    completed. Attempts that were under way end by themselves, within
  ///    `connect_timeout` per address. Their sockets close then;
  ///  - errc::stopped, at once, if the object was stopped before, or if its execution
  ///    context has been destroyed;
  ///  - errc::restart_limit, if user code (a callback, a backoff, `create_channel`,
  ///    `prime`) threw more than `channel_options::max_restarts` times within
  ///    `restart_window`. All channels of a pool count together. Each earlier exception
  ///    restarts the channel in which it was thrown, and is logged as an error. Later calls
  ///    complete with this error at once;
  ///  - asio::error::already_started, at once, if the object is running;
  ///  - errc::name_taken, at once, if another channel or pool of the same name runs in
  ///    the same execution context. That is logged as an error, and `async_run` may be
  ///    called again;
  ///  - asio::error::operation_aborted, if it was cancelled;
  ///  - boost::system::errc::not_enough_memory, if the memory for starting the channels
  ///    ran out.
  ///
  /// The function itself may throw std::bad_alloc. It may then be called again, unless
  /// the object was stopped.
  ///
  /// *Cancellation*: Any type stops the object, for good.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor. The
  /// default is `get_executor()`. If the executor throws, the handler is posted to
  /// `get_executor()`. If that throws, too, the handler is posted to the system executor.
  ///
  /// *Lifetime*: Until it completes, the operation is outstanding work: io_context::run
  /// does not return. If the object's execution context is destroyed first, the handler
  /// is destroyed and not called. The context of a handler's own executor must outlive
  /// the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_run(Token&& token = {}) {
    return detail::async_run(impl_, std::forward<Token>(token));
  }

  /// Stops the object, for good, and returns at once. No channel is handed out any more,
  /// and gets end with errc::stopped.
  ///
  /// RPCs in flight go on. They, and callers that keep a channel, keep its connection
  /// open. `stop()` may be called again, and after the execution context has been
  /// destroyed.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The calling thread completes the first 256 waiting gets. The execution
  /// context completes the others, so a thread must run it. So neither is blocked for
  /// long.
  void stop() noexcept;

  /// Returns the executor that the object was constructed with. It is empty once its
  /// execution context has been destroyed.
  ///
  /// *Thread safety*: Any thread may call this function.
  [[nodiscard]] executor_type get_executor() const noexcept;

 protected:
  /// For `channel` and `pool`.
  explicit lifecycle(std::shared_ptr<detail::pool_impl> channels);
  /// Stops the object, as `stop()` does. Waits for nothing.
  ~lifecycle();

  /// For `channel` and `pool`: the status of all channels.
  [[nodiscard]] pool_status full_status() const;
  /// For `channel` and `pool`: their implementation.
  [[nodiscard]] const std::shared_ptr<detail::pool_impl>& impl() const noexcept { return impl_; }

 private:
  friend const std::shared_ptr<detail::pool_impl>& detail::shared_state(const lifecycle& of) noexcept;

  std::shared_ptr<detail::pool_impl> impl_;
};

}  // namespace conn_grpc
