// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// A pool of gRPC channels that are kept connected.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/get.hpp>
#include <conn_grpc/lease.hpp>
#include <conn_grpc/lifecycle.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/status.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace conn_grpc {

namespace detail {
template <class Executor>
class pool_with_default;
}

/// A pool of gRPC channels, `pool_options::pool_size` to each of its addresses. Each
/// channel has its own TCP connection. The pool keeps the channels connected between
/// `async_run` and `stop()`, and hands them out in turn.
///
/// Callers do not give channels back: any number of RPCs may use a channel at the same
/// time.
///
/// With `channel_options::health_service`, a channel counts as connected for the functions
/// of this class only while its server serves.
///
/// *Thread safety*: Any thread may call any function, also while other threads call
/// functions of the same object. No thread may be calling a function while the object is
/// being destroyed. A get that is still waiting does not count.
///
/// *Executor*: The pool works on a strand of the executor that it was constructed with.
///
/// *Lifetime*: The pool may be destroyed in any state: while it runs, inside one of its
/// own callbacks, before or after its execution context. Destruction stops the pool and
/// waits for nothing. Channels that were handed out stay valid. From then on they are
/// ordinary gRPC channels.
class CONN_GRPC_API pool : public lifecycle {
 public:
  /// Checks the options. Touches no network: the pool connects after `async_run`.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options. The text
  /// names the field that is wrong. It names `executor` when the executor is empty, or
  /// when its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE).
  ///
  /// *Executor*: The pool works on a strand of `executor`.
  ///
  /// *Lifetime*: The execution context may be destroyed before or after the pool.
  pool(const executor_type& executor, const pool_options& options);

  /// Checks the options, and uses the executor of `context`. Touches no network: the pool
  /// connects after `async_run`.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options. The text
  /// names the field that is wrong. It names `executor` when the executor is empty, or
  /// when its context has no locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE).
  ///
  /// *Executor*: The pool works on a strand of the context's executor.
  ///
  /// *Lifetime*: The execution context may be destroyed before or after the pool.
  template <std::derived_from<asio::execution_context> Context>
  pool(Context& context, const pool_options& options) : pool(executor_type(context.get_executor()), options) {}

  /// Returns the connected channel whose turn it is, or an error. Never blocks.
  ///
  /// Every get takes a turn: over any k × `current_size` gets, each connected channel is
  /// returned k times. The function takes no lock, allocates nothing and makes no system
  /// call, with two exceptions: a thread's first get allocates 64 bytes, and a telemetry
  /// handler or `channel_options::mock` may do anything.
  ///
  /// *Errors*: Returns errc::not_connected, errc::not_started before `async_run`, or
  /// errc::stopped after `stop()`. Throws only what `channel_options::mock` throws.
  ///
  /// *Thread safety*: Any thread may call this function at any time.
  ///
  /// *Lifetime*: The returned gRPC channel stays valid after its connection is lost, and
  /// after the pool is destroyed.
  [[nodiscard]] boost::system::result<channel_ptr> try_get_channel() { return detail::try_pick(*impl()); }

  /// Returns the connected channel whose turn it is, to a coroutine. Never waits.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_connected,
  /// errc::not_started before `async_run`, or errc::stopped after `stop()`. With
  /// errc::not_connected, the text has the last error of a channel
  /// (`channel_status::last_error`). Also throws what `channel_options::mock` throws.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. The returned gRPC
  /// channel stays valid after its connection is lost, and after the pool is destroyed.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `pool.get_channel<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel() {
    co_return detail::pick_or_throw(*impl());
  }

  /// Returns the connected channel whose turn it is, to a coroutine. While no channel is
  /// connected, the coroutine waits for one, for `timeout` at most.
  ///
  /// Waiters complete in the order in which they began. A get with a timeout does not
  /// overtake earlier waiters. The function does not wait before `async_run`, after
  /// `stop()`, with a `timeout` of zero or less, or when `pool_size` is 0.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_connected after
  /// `timeout`, or errc::not_started before `async_run`. Throws errc::stopped after
  /// `stop()`, also when that happens during the waiting. Throws errc::too_many_waiters
  /// at once when `pool_options::max_waiters` gets wait already. With errc::not_connected
  /// and errc::too_many_waiters, the text has the last error of a channel
  /// (`channel_status::last_error`). Also throws what `channel_options::mock` throws.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// a channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the pool's execution context.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. It may be destroyed
  /// while the coroutine waits. The waiting then ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `pool.get_channel<E>(timeout)` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<channel_ptr, Executor> get_channel(std::chrono::duration<Rep, Period> timeout) {
    return detail::get<Executor>(impl(), detail::timeout_of(timeout));
  }

  /// Passes the connected channel whose turn it is to any completion token. Never waits.
  /// The completion signature is void(error_code, channel_ptr).
  ///
  /// *Errors*: Completes with errc::not_connected, errc::not_started before `async_run`,
  /// or errc::stopped after `stop()`. When `channel_options::mock` throws a
  /// boost::system::system_error, the handler receives its code. Any other exception of
  /// the mock leaves the initiating function.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor.
  ///
  /// *Lifetime*: The pool must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get_channel(Token&& token = {}) {
    return detail::async_get(impl(), {}, std::forward<Token>(token));
  }

  /// Passes the connected channel whose turn it is to any completion token. While no
  /// channel is connected, the operation waits for one, for `timeout` at most. The
  /// completion signature is void(error_code, channel_ptr).
  ///
  /// Waiters complete in the order in which they began. A get with a timeout does not
  /// overtake earlier waiters. The operation does not wait before `async_run`, after
  /// `stop()`, with a `timeout` of zero or less, or when `pool_size` is 0.
  ///
  /// *Errors*: Completes with errc::not_connected after `timeout`, or errc::not_started
  /// before `async_run`. Completes with errc::stopped after `stop()`, also when that
  /// happens during the waiting. Completes with errc::too_many_waiters at once when
  /// `pool_options::max_waiters` gets wait already. When `channel_options::mock` throws a
  /// boost::system::system_error, the handler receives its code. Any other exception of
  /// the mock leaves the initiating function.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor. The timeout ends only while a thread runs the pool's execution
  /// context.
  ///
  /// *Lifetime*: The pool must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = asio::deferred_t>
  auto async_get_channel(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_get(impl(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Returns a lease of a connected channel, or an error. Never blocks and never waits. The
  /// channel is chosen as `pool_options::pick` says.
  ///
  /// *Errors*: As `try_get_channel`. Fails with errc::not_connected also when each connected
  /// channel has `pool_options::max_in_flight` leases. Throws what `channel_options::mock`
  /// throws.
  ///
  /// *Thread safety*: Any thread may call this function at any time.
  ///
  /// *Lifetime*: The lease may outlive the pool.
  [[nodiscard]] boost::system::result<lease> try_get_lease() { return detail::try_lease(*impl()); }

  /// Returns a lease of a connected channel, to a coroutine. Never waits.
  ///
  /// *Errors*: As `get_channel`. Throws errc::not_connected also when each connected channel
  /// has `pool_options::max_in_flight` leases.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. The lease may outlive it.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<lease, Executor> get_lease() {
    co_return detail::lease_or_throw(*impl());
  }

  /// Returns a lease of a connected channel, to a coroutine. While no channel is connected,
  /// or each one has `pool_options::max_in_flight` leases, the coroutine waits, for `timeout`
  /// at most. Leases that wait complete in the order in which they began to wait.
  ///
  /// *Errors*: As `get_channel(timeout)`.
  ///
  /// *Cancellation*: Any type ends the waiting at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the pool's execution context.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. It may be destroyed while
  /// the coroutine waits. The waiting then ends with errc::stopped. The lease may outlive
  /// the pool.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<lease, Executor> get_lease(std::chrono::duration<Rep, Period> timeout) {
    return detail::get_lease<Executor>(impl(), detail::timeout_of(timeout));
  }

  /// Passes a lease of a connected channel to any completion token. Never waits. The
  /// completion signature is void(error_code, lease).
  ///
  /// *Errors*: As `async_get_channel`. Completes with errc::not_connected also when each
  /// connected channel has `pool_options::max_in_flight` leases.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*, *Lifetime*, *Allocator*: As `async_get_channel`. A lease whose handler is
  /// destroyed without a call ends.
  template <asio::completion_token_for<void(error_code, lease)> Token = asio::deferred_t>
  auto async_get_lease(Token&& token = {}) {
    return detail::async_get<detail::lease_get>(impl(), {}, std::forward<Token>(token));
  }

  /// Passes a lease of a connected channel to any completion token. While no channel is
  /// connected, or each one has `pool_options::max_in_flight` leases, the operation waits,
  /// for `timeout` at most. The completion signature is void(error_code, lease).
  ///
  /// *Errors*: As `async_get_channel(timeout)`.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting at
  /// once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*, *Lifetime*, *Allocator*: As `async_get_channel(timeout)`. A lease whose
  /// handler is destroyed without a call ends.
  template <class Rep, class Period, asio::completion_token_for<void(error_code, lease)> Token = asio::deferred_t>
  auto async_get_lease(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_get<detail::lease_get>(impl(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Waits until at least `count` channels are connected at the same time. A service
  /// awaits this before it reports that it is ready.
  ///
  /// `count` must not be above `pool_status::expected_size`, which is `pool_size` for each
  /// address, unless `max_size` or `resize` changes that. With
  /// `pool_options::resolve_interval`, any `count` waits until the first look-up has
  /// succeeded.
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the function does not wait.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_started before
  /// `async_run`. Throws errc::stopped after `stop()`, also when that happens during the
  /// waiting. Throws asio::error::invalid_argument if `count` is above `expected_size`,
  /// also when a change of the addresses makes it so during the waiting.
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// a channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. It may be destroyed
  /// while the coroutine waits. The waiting then ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `pool.connected<E>()` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<void, Executor> connected(std::size_t count = 1) {
    return detail::connected<Executor>(impl(), count, detail::no_timeout);
  }

  /// Waits until at least `count` channels are connected at the same time, for `timeout`
  /// at most. A service awaits this before it reports that it is ready.
  ///
  /// `count` must not be above `pool_status::expected_size`, which is `pool_size` for each
  /// address, unless `max_size` or `resize` changes that. With
  /// `pool_options::resolve_interval`, any `count` waits until the first look-up has
  /// succeeded.
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the function does not wait.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::not_connected after
  /// `timeout`, or errc::not_started before `async_run`. Throws errc::stopped after
  /// `stop()`, also when that happens during the waiting. Throws
  /// asio::error::invalid_argument if `count` is above `expected_size`, also when a change
  /// of the addresses makes it so during the waiting. With errc::not_connected, the text
  /// has the last error of a channel (`channel_status::last_error`).
  ///
  /// *Cancellation*: Any type ends the waiting at once with
  /// asio::error::operation_aborted. The text of the exception then has the last error of
  /// a channel.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor. The timeout ends only while a
  /// thread runs the pool's execution context.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. It may be destroyed
  /// while the coroutine waits. The waiting then ends with errc::stopped.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `pool.connected<E>(count, timeout)` in an
  /// `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<void, Executor> connected(std::size_t count,
                                                          std::chrono::duration<Rep, Period> timeout) {
    return detail::connected<Executor>(impl(), count, detail::timeout_of(timeout));
  }

  /// Waits until at least `count` channels are connected at the same time. Takes any
  /// completion token. The completion signature is void(error_code).
  ///
  /// `count` must not be above `pool_status::expected_size`, which is `pool_size` for each
  /// address, unless `max_size` or `resize` changes that. With
  /// `pool_options::resolve_interval`, any `count` waits until the first look-up has
  /// succeeded.
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the operation does not wait.
  ///
  /// *Errors*: Completes with errc::not_started before `async_run`. Completes with
  /// errc::stopped after `stop()`, also when that happens during the waiting. Completes
  /// with asio::error::invalid_argument if `count` is above `expected_size`, also when a
  /// change of the addresses makes it so during the waiting.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor.
  ///
  /// *Lifetime*: The pool must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(std::size_t count, Token&& token = {}) {
    return detail::async_connected(impl(), count, detail::no_timeout, std::forward<Token>(token));
  }

  /// Waits until at least `count` channels are connected at the same time, for `timeout`
  /// at most. Takes any completion token. The completion signature is void(error_code).
  ///
  /// `count` must not be above `pool_status::expected_size`, which is `pool_size` for each
  /// address, unless `max_size` or `resize` changes that. With
  /// `pool_options::resolve_interval`, any `count` waits until the first look-up has
  /// succeeded.
  ///
  /// `pool_options::max_waiters` does not limit these waiters. With
  /// `channel_options::mock` the operation does not wait.
  ///
  /// *Errors*: Completes with errc::not_connected after `timeout`, or errc::not_started
  /// before `async_run`. Completes with errc::stopped after `stop()`, also when that
  /// happens during the waiting. Completes with asio::error::invalid_argument if `count`
  /// is above `expected_size`, also when a change of the addresses makes it so during the
  /// waiting.
  ///
  /// *Cancellation*: Any type, through the handler's cancellation slot, ends the waiting
  /// at once with asio::error::operation_aborted.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The handler's associated executor calls the handler. The default is
  /// `get_executor()`. Asio must be able to query that executor for its execution
  /// context. The handler is never called inside the initiating function, unless its
  /// associated immediate executor (Boost 1.82) allows that. If the executor throws, the
  /// handler is posted to `get_executor()`. If that throws, too, the handler is posted to
  /// the system executor. The timeout ends only while a thread runs the pool's execution
  /// context.
  ///
  /// *Lifetime*: The pool must exist when this function is called, but not when the
  /// operation begins or completes. Until it completes, the operation is outstanding work
  /// of the handler's executor. If the execution context of that executor is destroyed
  /// first, the handler is destroyed and not called. The context of an
  /// asio::any_completion_handler must outlive the completion.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_connected(std::size_t count, std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_connected(impl(), count, detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Returns the sizes of the pool, the state, the attempts and the last error of each
  /// channel, and the state of each address.
  ///
  /// *Thread safety*: Any thread may call this function. It locks the status of each
  /// channel while it copies it.
  [[nodiscard]] pool_status status() const { return full_status(); }

  /// Changes the addresses of the pool. The channels to addresses that stay keep their
  /// connections. Channels to new addresses connect. Then the pool withdraws the channels
  /// to removed addresses. Their connections close when the RPCs over them have ended.
  ///
  /// The pool withdraws a channel to a removed address
  ///
  ///  - at once, if no address is new, or if gets do not return the channel at that time;
  ///  - otherwise, when the first attempt of each new channel has ended and a channel to an
  ///    address of the new list is connected.
  ///
  /// A waiting `connected` ends with asio::error::invalid_argument if its `count` is above
  /// the new number of channels. An address that occurs twice counts once. The list may be
  /// empty: then the pool withdraws all channels, and gets wait as for a connection.
  /// Channels to new addresses are named `<pool>/<address>/<index>`.
  ///
  /// With `pool_options::resolve_interval`, the next look-up that succeeds replaces these
  /// addresses. Before `async_run` the function changes the addresses of the start. After
  /// `stop()` it has no effect.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options, without
  /// effect. The reason is an address that is empty or has no valid port (see
  /// `channel_options::address`), or more than 100,000 channels in all. The text names the
  /// address: "addresses[2]: …". If memory runs out after the function has returned, the
  /// addresses stay, and the pool logs an error.
  ///
  /// *Cancellation*: None, because the function does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The pool changes the addresses on its strand, after this function has
  /// returned.
  CONN_GRPC_API void set_addresses(std::vector<std::string> addresses);

  /// Changes the number of channels to each address, and completes when that is done. New
  /// channels connect from then on. Surplus channels are withdrawn; their RPCs in flight go
  /// on. With `pool_options::max_size` the number follows the load again afterwards. The
  /// completion signature is void(error_code).
  ///
  /// *Errors*: Completes with errc::stopped after `stop()`, and with
  /// boost::system::errc::not_enough_memory. Then nothing has changed.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*, *Lifetime*, *Allocator*: As `async_drain`.
  template <asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_resize(std::size_t size, Token&& token = {}) {
    return detail::async_resize(impl(), size, std::forward<Token>(token));
  }

  /// As `async_resize`, for a coroutine.
  ///
  /// *Errors*: Throws boost::system::system_error with the errors of `async_resize`.
  ///
  /// *Cancellation*: None, because the operation does not wait.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<void, Executor> resize(std::size_t size) {
    co_await detail::async_resize(impl(), size, asio::deferred);
  }

  /// Replaces every connection. Each channel connects again, publishes the new connection,
  /// and then withdraws the old one. The old connection closes when the RPCs over it have
  /// ended. If an attempt fails, the old connection stays, and the next attempt follows
  /// after the backoff.
  ///
  /// All channels connect at the same time, unless `pool_options::max_connecting` limits
  /// them. The function has no effect on a channel that is not connected.
  ///
  /// *Errors*: If memory runs out after the function has returned, some connections are not
  /// replaced, and the pool logs an error.
  ///
  /// *Cancellation*: None, because the function does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The pool replaces the connections on its strand, after this function has
  /// returned.
  CONN_GRPC_API void refresh();

  /// Replaces the connection of a channel that does not answer, for example because its
  /// server is frozen. The channel connects again, publishes the new connection, and then
  /// withdraws the old one.
  ///
  /// If the attempt fails, or has not ended after a second, the channel withdraws the old
  /// connection as well. That counts as a loss, with the reason "suspect: " and `why`.
  /// After a failed attempt the next one follows after the backoff. RPCs in flight over the
  /// old connection go on, until their deadlines.
  ///
  /// The function has no effect if `suspected` does not belong to a connection that the
  /// pool has now, for example after its loss. A connection that is younger than
  /// `channel_options::stable_after` is replaced at most twice in that time.
  ///
  /// @param suspected A gRPC channel that a get has returned.
  /// @param why The reason in logs and in the event channel_disconnected.
  ///
  /// *Errors*: If memory runs out after the function has returned, the connection is not
  /// replaced, and the pool logs an error.
  ///
  /// *Cancellation*: None, because the function does not wait.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The pool replaces the connection on its strand, after this function has
  /// returned.
  CONN_GRPC_API void suspect(const channel_ptr& suspected, std::string why);

  /// Withdraws all channels, waits until leases and RPCs in flight have ended, and then calls
  /// `stop()`. The completion signature is void(error_code). From now on gets end with
  /// errc::stopped, and connected channels have the state `draining`.
  ///
  /// The operation waits for all leases, and for the RPCs of `unary` and the streams over
  /// channels of this pool. Without a lease, it does not wait for RPCs that are made with
  /// gRPC's own functions, or over channels of the user's own `create_channel`. It does not
  /// wait for an RPC that begins after the last of these has ended.
  ///
  /// *Errors*: None. Completes with success, also when the time is over. Completes at once
  /// if the pool does not run, or if the execution context has been destroyed. A pool that
  /// has never run is stopped then.
  ///
  /// @param timeout The limit for the waiting, of any std::chrono type. When it is over,
  /// the operation calls `stop()`, and RPCs in flight go on. With zero or less, it does not
  /// wait.
  ///
  /// *Cancellation*: Any type calls `stop()` at once. Then the operation completes with
  /// success.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor. The
  /// default is `get_executor()`. If the executor throws, the handler is posted to
  /// `get_executor()`. If that throws, too, the handler is posted to the system executor.
  ///
  /// *Lifetime*: The pool must exist when this function is called, but not when the
  /// operation begins or completes. If the execution context is destroyed first, the
  /// handler is destroyed and not called.
  ///
  /// *Allocator*: The handler's associated allocator is used only in the initiating
  /// function and on the handler's executor. Its memory is freed before the handler is
  /// called. A handler that is destroyed without a call frees its memory where it is
  /// destroyed.
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = asio::deferred_t>
  auto async_drain(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return detail::async_drain(impl(), detail::timeout_of(timeout), std::forward<Token>(token));
  }

  /// Withdraws all channels, waits until leases and RPCs in flight have ended, and then calls
  /// `stop()`. From now on gets end with errc::stopped, and connected channels have the
  /// state `draining`. This is `async_drain` for a coroutine:
  ///
  ///     co_await pool.drain(10s);
  ///
  /// The function waits for all leases, and for the RPCs of `unary` and the streams over
  /// channels of this pool. Without a lease, it does not wait for RPCs that are made with
  /// gRPC's own functions, or over channels of the user's own `create_channel`. It does not
  /// wait for an RPC that begins after the last of these has ended.
  ///
  /// @param timeout The limit for the waiting, of any std::chrono type. When it is over,
  /// the function calls `stop()`, and RPCs in flight go on. With zero or less, it does not
  /// wait.
  ///
  /// *Errors*: None. Returns also when the time is over. Returns at once if the pool does
  /// not run. A pool that has never run is stopped then.
  ///
  /// *Cancellation*: Any type calls `stop()` at once. Then the function returns.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine is resumed on its own executor.
  ///
  /// *Lifetime*: The pool must exist when the result is awaited. It may be destroyed while
  /// the coroutine waits.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor: `pool.drain<E>(timeout)` in an `asio::awaitable<T, E>`.
  template <class Executor = asio::any_io_executor, class Rep, class Period>
  [[nodiscard]] asio::awaitable<void, Executor> drain(std::chrono::duration<Rep, Period> timeout) {
    co_await detail::async_drain(impl(), detail::timeout_of(timeout), asio::deferred);
  }

  /// Names a type that differs from `pool` only in the default completion token of its
  /// operations. It is used by `as_default_on_t` of Asio's tokens:
  ///
  ///     using tuple_pool =
  ///         asio::as_tuple_t<asio::use_awaitable_t<>>::as_default_on_t<conn_grpc::pool>;
  template <class Executor>
  struct rebind_executor {
    /// A `pool` whose operations have the default token of `Executor`.
    using other = detail::pool_with_default<Executor>;
  };
};

/// A pool whose operations have the default token of its `Executor`.
template <class Executor>
class detail::pool_with_default : public pool {
  using default_token = asio::default_completion_token_t<Executor>;

 public:
  using executor_type = Executor;
  using pool::pool;

  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_run(Token&& token = {}) {
    return pool::async_run(std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code, channel_ptr)> Token = default_token>
  auto async_get_channel(Token&& token = {}) {
    return pool::async_get_channel(std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, channel_ptr)> Token = default_token>
  auto async_get_channel(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return pool::async_get_channel(timeout, std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code, lease)> Token = default_token>
  auto async_get_lease(Token&& token = {}) {
    return pool::async_get_lease(std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code, lease)> Token = default_token>
  auto async_get_lease(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return pool::async_get_lease(timeout, std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_connected(std::size_t count, Token&& token = {}) {
    return pool::async_connected(count, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_connected(std::size_t count, std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return pool::async_connected(count, timeout, std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_resize(std::size_t size, Token&& token = {}) {
    return pool::async_resize(size, std::forward<Token>(token));
  }
  template <class Rep, class Period, asio::completion_token_for<void(error_code)> Token = default_token>
  auto async_drain(std::chrono::duration<Rep, Period> timeout, Token&& token = {}) {
    return pool::async_drain(timeout, std::forward<Token>(token));
  }
  [[nodiscard]] executor_type get_executor() const noexcept { return executor_type(pool::get_executor()); }
};

}  // namespace conn_grpc
