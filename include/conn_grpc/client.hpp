// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// One line per RPC: a client of a generated service, over the channels of a pool.

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/result.hpp>
#include <conn_grpc/detail/get.hpp>
#include <conn_grpc/detail/method_name.hpp>
#include <conn_grpc/lease.hpp>
#include <conn_grpc/lifecycle.hpp>
#include <conn_grpc/streams.hpp>
#include <conn_grpc/unary.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace conn_grpc {

/// The failed RPCs that a `client` makes again.
enum class retry {
  /// None.
  never,
  /// Those that certainly no server has executed: gRPC could not connect, or the server
  /// refused the stream (REFUSED_STREAM).
  unsent,
  /// Also those that a server may have executed: UNAVAILABLE, and CANCELLED unless the caller
  /// has cancelled. Only for methods that may be executed twice.
  idempotent,
};

/// How a `client` makes an RPC. In a designated initializer, name the fields in this order.
struct call_options {
  /// The limit for the whole call: the wait for a channel, all attempts, and the pauses
  /// between them. The deadline of each attempt is the end of this time.
  ///
  /// If it is negative, the time is over before the call begins. Zero means that there is no
  /// limit. Then the call does not wait for a connection: while no channel is connected, it
  /// fails at once with UNAVAILABLE. It still waits for room while each connected channel
  /// has `pool_options::max_in_flight` leases.
  std::chrono::milliseconds timeout{0};

  /// Metadata that is sent with each attempt.
  std::vector<std::pair<std::string, std::string>> metadata{};

  /// Called with the context of each attempt, to set up other things, for example
  /// credentials and compression. The call throws what this function throws.
  std::function<void(grpc::ClientContext&)> prepare{};

  /// The failures after which the client makes another attempt. That attempt uses another
  /// channel, to another address if there is one.
  retry retries = retry::unsent;

  /// The largest number of attempts of one call. In an outage, the retries of all calls of a pool
  /// are limited to a tenth of its calls, and 5 per second.
  int max_attempts = 3;
};

/// @cond
namespace detail {

class call_report;

/// The lease of a stream.
class leased_stream : public stream_owner {
 public:
  explicit leased_stream(lease leased) : leased_(std::move(leased)) {}
  [[nodiscard]] const lease& leased() const noexcept { return leased_; }
  void ended(const grpc::Status&) noexcept override { leased_ = lease(); }

 private:
  lease leased_;
};

/// The attempts of one call. Decides whether there is another attempt, and prepares each.
/// Its destructor reports the call to telemetry, unless a stream shares the report.
class call_attempts {
 public:
  CONN_GRPC_API call_attempts(std::shared_ptr<pool_impl> pool, call_options options);

  /// From now on the call is reported to telemetry, if a handler is attached.
  template <class Service, class Method>
  void report_as(Method method) {
    if (is_reported()) report_as(name_of<Service>(method));
  }

  /// Counts the call in the pool's budget of retries.
  CONN_GRPC_API void count_call();

  /// Returns a lease, or asio::error::would_block when the call has to wait, for
  /// `time_left()` at most.
  [[nodiscard]] CONN_GRPC_API boost::system::result<lease> try_lease();
  [[nodiscard]] CONN_GRPC_API std::chrono::nanoseconds time_left() const;
  [[nodiscard]] const std::shared_ptr<pool_impl>& pool() const noexcept { return pool_; }

  /// The status of a call that gets no lease.
  [[nodiscard]] CONN_GRPC_API grpc::Status without_lease(error_code failed);

  /// Sets up the context of an attempt: its deadline, its metadata, and what the user's
  /// `prepare` does.
  CONN_GRPC_API void prepare(grpc::ClientContext& context);

  /// Call it when an RPC begins.
  void begin(const lease& of) {
    if (report_) report_attempt(of);
  }
  /// Call it when the RPC of a stream begins. The stream owns the result until gRPC has ended
  /// the RPC.
  [[nodiscard]] CONN_GRPC_API std::shared_ptr<leased_stream> begin_stream(lease of);

  /// Call it when an attempt has ended. Returns true if another attempt follows, after
  /// `pause()`.
  /// @param is_cancelled True if the caller has cancelled the call.
  [[nodiscard]] CONN_GRPC_API bool ended(const grpc::Status& status, const grpc::ClientContext& context,
                                         const lease& of, bool is_cancelled);
  [[nodiscard]] std::chrono::nanoseconds pause() const noexcept { return pause_; }

  /// Call it when the call ends with the exception that is being handled.
  void threw() {
    if (report_) report_exception();
  }

 private:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] CONN_GRPC_API bool is_reported() const noexcept;
  CONN_GRPC_API void report_as(std::string_view method);
  CONN_GRPC_API void report_attempt(const lease& of);
  CONN_GRPC_API void report_exception();
  grpc::Status reported(grpc::Status status);
  void report_end(const grpc::Status& status);
  [[nodiscard]] bool has_limit() const noexcept { return options_.timeout.count() != 0; }
  bool plans_another(const grpc::Status& status, const grpc::ClientContext& context, const lease& of);
  [[nodiscard]] bool may_retry(const grpc::Status& status, const grpc::ClientContext& context) const;
  [[nodiscard]] bool had_time_for(const grpc::Status& status) const;

  const std::shared_ptr<pool_impl> pool_;
  const call_options options_;
  const clock::time_point deadline_;  // if there is a limit
  clock::time_point begun_;           // when the last attempt began
  int attempts_ = 0;
  std::chrono::nanoseconds pause_{0};
  grpc::Status last_;         // of the last attempt
  channel_ptr last_channel_;  // keeps the target that the next attempt avoids
  const lease_target* avoided_ = nullptr;
  std::shared_ptr<call_report> report_;  // null: no handler was attached
};

/// Waits for the lease of the next attempt.
template <class Executor>
asio::awaitable<boost::system::result<lease>, Executor> wait_for_lease(const call_attempts& attempts) {
  auto [failed, given] =
      co_await async_get<lease_get>(attempts.pool(), attempts.time_left(), asio::as_tuple(asio::deferred));
  if (failed) co_return failed;
  co_return std::move(given);
}

inline bool is_cancelled(const asio::cancellation_state& state) {
  return state.cancelled() != asio::cancellation_type::none;
}

template <class Service, class Executor, class Async, class Request, class Reply>
asio::awaitable<grpc::Status, Executor> call(std::shared_ptr<pool_impl> pool,
                                             unary_method<Async, Request, Reply> method, const Request& request,
                                             Reply& reply, call_options options) {
  call_attempts attempts(std::move(pool), std::move(options));
  attempts.report_as<Service>(method);
  try {
    attempts.count_call();
    for (;;) {
      if (is_cancelled(co_await asio::this_coro::cancellation_state))
        co_return attempts.without_lease(asio::error::operation_aborted);
      auto leased = attempts.try_lease();
      if (!leased && leased.error() == asio::error::would_block) leased = co_await wait_for_lease<Executor>(attempts);
      if (!leased) co_return attempts.without_lease(leased.error());
      {
        grpc::ClientContext context;
        attempts.prepare(context);  // user code, which may cancel
        if (is_cancelled(co_await asio::this_coro::cancellation_state))
          co_return attempts.without_lease(asio::error::operation_aborted);
        auto& stub = leased->template stub<Service>();
        attempts.begin(*leased);
        const grpc::Status status = co_await async_unary(stub, method, context, request, reply, asio::deferred);
        const bool cancelled = is_cancelled(co_await asio::this_coro::cancellation_state);
        if (!attempts.ended(status, context, *leased, cancelled)) co_return status;
      }
      leased = lease();
      if (attempts.pause() > std::chrono::nanoseconds::zero()) {
        asio::steady_timer timer(co_await asio::this_coro::executor, attempts.pause());
        co_await timer.async_wait(asio::as_tuple(asio::deferred));
      }
    }
  } catch (...) {
    attempts.threw();
    throw;
  }
}

/// @param prepared A call that has not begun yet, with a context of its own.
template <class Stream, class Service, class Executor, class Call, class Method>
asio::awaitable<Stream, Executor> open_leased(std::shared_ptr<pool_impl> pool, std::shared_ptr<Call> prepared,
                                              Method method, call_options options) {
  call_attempts attempts(std::move(pool), std::move(options));
  attempts.report_as<Service>(method);
  try {
    boost::system::result<lease> leased = asio::error::operation_aborted;
    if (!is_cancelled(co_await asio::this_coro::cancellation_state)) leased = attempts.try_lease();
    if (!leased && leased.error() == asio::error::would_block) leased = co_await wait_for_lease<Executor>(attempts);
    if (!leased)
      co_return Stream(
          make_failed_stream(std::make_unique<grpc::ClientContext>(), attempts.without_lease(leased.error())));
    attempts.prepare(prepared->context());
    const auto owner = attempts.begin_stream(*std::move(leased));
    prepared->open(owner->leased().template stub<Service>(), method, owner);
    co_return Stream(std::move(prepared));
  } catch (...) {
    attempts.threw();
    throw;
  }
}

}  // namespace detail
/// @endcond

/// Makes the RPCs of a generated service over the channels of a pool:
///
///     conn_grpc::client<Greeter> greeter(pool);
///     auto status = co_await greeter.call(
///         &Greeter::Stub::async::SayHello, request, reply, {.timeout = 300ms});
///
/// A client is cheap to copy, and shares the pool's state. Once the pool is stopped or
/// destroyed, calls end with UNAVAILABLE.
///
/// *Thread safety*: Any thread may call any function.
/// @tparam Service The class that protoc generates for a service: `Greeter`.
template <class Service>
class client {
 public:
  /// Uses the channels of a `pool`, or a `channel`.
  explicit client(const lifecycle& of) : impl_(detail::shared_state(of)) {}

  /// Makes a unary RPC: leases a channel, makes the attempt, reports its status to the
  /// lease, and makes other attempts as `options.retries` says.
  ///
  /// *Errors*: The status has the error. It is UNAVAILABLE with the reason if there is no
  /// channel, or DEADLINE_EXCEEDED if `timeout` is over before there is a channel. The call
  /// throws only what `call_options::prepare` and `channel_options::mock` throw.
  ///
  /// *Cancellation*: Any type ends the call with the status CANCELLED, unless it had already
  /// ended.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: `request` and `reply` must live until the call ends. The client and the pool
  /// may be destroyed before that. As for `unary`, the library cancels the RPC if the coroutine's
  /// execution context is destroyed.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor, class Async, class Request, class Reply>
  [[nodiscard]] asio::awaitable<grpc::Status, Executor> call(unary_method<Async, Request, Reply> method,
                                                             const std::type_identity_t<Request>& request,
                                                             std::type_identity_t<Reply>& reply,
                                                             call_options options = {}) const {
    return detail::call<Service, Executor>(impl_, method, request, reply, std::move(options));
  }

  /// Leases a channel, and begins an RPC with a stream of replies. The stream holds the lease
  /// until gRPC has ended the RPC. The RPC is not made again: `options.retries` has no effect.
  ///
  /// *Errors*: If there is no channel, the first read of the stream is false, and `finish`
  /// has the status that `call` would have.
  ///
  /// *Cancellation*: Any type ends the wait for a channel. Then the status is CANCELLED.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: `request` must live until this function returns. The stream owns its
  /// context, and may outlive the client and the pool.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor, class Async, class Request, class Reply>
  [[nodiscard]] asio::awaitable<read_stream<Reply>, Executor> open(read_method<Async, Request, Reply> method,
                                                                   const std::type_identity_t<Request>& request,
                                                                   call_options options = {}) const {
    return open_leased<read_stream<Reply>, Executor>(
        std::make_shared<detail::read_call<Request, Reply>>(new_context(), request), method, std::move(options));
  }

  /// Leases a channel, and begins an RPC with a stream of requests. The stream holds the lease
  /// until gRPC has ended the RPC. The RPC is not made again: `options.retries` has no effect.
  ///
  /// *Errors*: If there is no channel, the first write of the stream is false, and `finish`
  /// has the status that `call` would have.
  ///
  /// *Cancellation*: Any type ends the wait for a channel. Then the status is CANCELLED.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: `reply` must live until `finish` completes, or the stream is destroyed. The
  /// stream owns its context, and may outlive the client and the pool.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor, class Async, class Request, class Reply>
  [[nodiscard]] asio::awaitable<write_stream<Request>, Executor> open(write_method<Async, Request, Reply> method,
                                                                      std::type_identity_t<Reply>& reply,
                                                                      call_options options = {}) const {
    return open_leased<write_stream<Request>, Executor>(
        std::make_shared<detail::write_call<Request, Reply>>(new_context(), reply), method, std::move(options));
  }

  /// Leases a channel, and begins an RPC with streams in both directions. The stream holds the
  /// lease until gRPC has ended the RPC. The RPC is not made again: `options.retries` has no
  /// effect.
  ///
  /// *Errors*: If there is no channel, the first read and write of the stream are false, and
  /// `finish` has the status that `call` would have.
  ///
  /// *Cancellation*: Any type ends the wait for a channel. Then the status is CANCELLED.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: The stream owns its context, and may outlive the client and the pool.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor, class Async, class Request, class Reply>
  [[nodiscard]] asio::awaitable<bidi_stream<Request, Reply>, Executor> open(bidi_method<Async, Request, Reply> method,
                                                                            call_options options = {}) const {
    return open_leased<bidi_stream<Request, Reply>, Executor>(
        std::make_shared<detail::bidi_call<Request, Reply>>(new_context()), method, std::move(options));
  }

 private:
  static detail::call_context new_context() { return std::make_unique<grpc::ClientContext>(); }

  template <class Stream, class Executor, class Call, class Method>
  asio::awaitable<Stream, Executor> open_leased(std::shared_ptr<Call> prepared, Method method,
                                                call_options options) const {
    return detail::open_leased<Stream, Service, Executor>(impl_, std::move(prepared), method, std::move(options));
  }

  std::shared_ptr<detail::pool_impl> impl_;
};

}  // namespace conn_grpc
