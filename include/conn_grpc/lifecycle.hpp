// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <conn_grpc/detail/run.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <memory>
#include <utility>

namespace conn_grpc {

/// What a `channel` and a `pool` have in common: they work between `async_run` and `stop()`.
///
/// They do so on a strand of the executor they were constructed with. Either may be destroyed in any state: while it
/// runs, from inside one of its own callbacks, before or after its execution context. Destruction is a `stop()` that
/// waits for nothing. Channels that were handed out stay valid; from then on they are ordinary gRPC channels.
///
/// All functions are thread-safe, but no other thread may be calling them while the object is being destroyed. Where
/// memory runs out, what may throw throws std::bad_alloc, the rest terminates; `async_run` that threw it may be called
/// again, unless that stopped the object.
class CONN_GRPC_API lifecycle {
 public:
  using executor_type = asio::any_io_executor;

  lifecycle(const lifecycle&) = delete;
  lifecycle& operator=(const lifecycle&) = delete;

  /// Connects, and keeps connecting, until `stop()`. Completes with
  ///
  ///  - success, after `stop()` or destruction, once every connection has been released and every waiting get has been
  ///    completed. Released means that no channel of the object is handed out or connected, but for those that a caller
  ///    keeps. Attempts that were under way end by themselves, within `connect_timeout` per address, and so do their
  ///    sockets;
  ///  - errc::stopped, at once, if it was stopped before, or if its execution context has been destroyed;
  ///  - errc::restart_limit, when user code (a callback, a backoff, `create_channel`) threw more than
  ///    `channel_options::max_restarts` times within `restart_window`, over all channels of a pool. Before that, each
  ///    throw restarts the channel it happened to, and is logged as an error. Also at once, if that ended it before;
  ///  - asio::error::already_started, if it is running;
  ///  - errc::name_taken, when another channel or pool of its name runs in its execution context. That is logged as an
  ///    error, and it may be tried again;
  ///  - asio::error::operation_aborted, when cancelled. Any type of cancellation stops the object, for good.
  ///
  /// Until then it is outstanding work: io_context::run does not return.
  ///
  /// *Cancellation*: any type stops the object.
  ///
  /// *Executor*: the completion is posted to the handler's associated executor, by default `get_executor()`. When that
  /// executor throws, the handler is posted to `get_executor()`, and when that throws, too, to the system executor.
  ///
  /// *Lifetime*: if the execution context is destroyed first, the handler is destroyed without being called, as Asio
  /// does. The context of a handler's own executor must outlive its completion.
  ///
  /// *Thread safety*: any thread.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_run(Token&& token = {}) {
    return detail::async_run(impl_, std::forward<Token>(token));
  }

  /// Returns at once. From now on no channel is handed out, and gets end in errc::stopped; a stopped object stays
  /// stopped. RPCs in flight go on: they, and callers that keep a channel, keep its connection open. May be called
  /// again, and after the execution context is gone. Of many waiting gets the calling thread completes the first 256;
  /// the execution context, which must run for that, completes the others, so that neither is held up.
  ///
  /// *Thread safety*: any thread.
  void stop() noexcept;

  /// The executor it was constructed with; empty once its execution context has been destroyed.
  [[nodiscard]] executor_type get_executor() const noexcept;

 protected:
  explicit lifecycle(std::shared_ptr<detail::pool_impl> channels);
  ~lifecycle();

  [[nodiscard]] pool_status full_status() const;
  [[nodiscard]] const std::shared_ptr<detail::pool_impl>& impl() const noexcept { return impl_; }

 private:
  std::shared_ptr<detail::pool_impl> impl_;
};

}  // namespace conn_grpc
