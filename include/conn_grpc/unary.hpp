// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// RPCs with a request and a reply.

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/initiation.hpp>
#include <conn_grpc/detail/posted_handler.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace conn_grpc {

/// @cond
namespace detail {

using unary_handler = asio::any_completion_handler<void(const fallback&, grpc::Status)>;
using unary_callback = std::function<void(grpc::Status)>;

/// Calls `start` with the callback to pass to gRPC.
/// @param handler It posts, so any thread may call it.
/// @param handler_context The context that it posts to.
CONN_GRPC_API void start_unary(unary_handler handler, asio::execution_context& handler_context,
                               grpc::ClientContext& context, const std::function<void(unary_callback)>& start);

}  // namespace detail
/// @endcond

/// A method of a generated stub, in the form of gRPC's callback API:
/// `&Greeter::Stub::async::SayHello`.
template <class Async, class Request, class Reply>
using unary_method = void (Async::*)(grpc::ClientContext*, const Request*, Reply*, std::function<void(grpc::Status)>);

/// Makes a unary RPC, for any completion token. The completion signature is
/// void(grpc::Status).
///
/// If the RPC ends because its connection is lost, the pool withdraws the channel before
/// this operation completes. So an RPC whose status names a lost connection may complete
/// later: when gRPC reports the loss, or after 250 ms. On a channel of the user's own
/// `create_channel`, it completes after 20 ms.
///
/// *Errors*: The grpc::Status has the error.
///
/// *Cancellation*: Any type calls grpc::ClientContext::TryCancel. The RPC ends with the
/// status CANCELLED, unless it had already ended.
///
/// *Thread safety*: Any thread may call this function, as with gRPC's stubs.
///
/// *Executor*: The completion is posted to the handler's associated executor, or may be
/// dispatched inside an event_engine_scope. If that executor throws, the handler is posted
/// to the system executor. **A handler without an executor is called by another thread**,
/// which belongs to Asio's system executor. A coroutine has an executor. Give one to a
/// callback with asio::bind_executor. An RPC has no I/O object whose executor could be the
/// default. A stub knows its channel but no execution context, and several contexts may use
/// the same channel.
///
/// *Lifetime*: `stub`, `context` and `reply` must live until the operation completes, and
/// `request` until it has begun. If the handler's execution context is destroyed first,
/// the library cancels the RPC, and waits for its end. Then it destroys the handler. So
/// objects in the frame of a coroutine live long enough.
///
/// *Allocator*: The handler's associated allocator is used only in the initiating
/// function and on the handler's executor, never on gRPC's thread. Its memory is freed
/// before the handler is called. A handler that is destroyed without a call frees its
/// memory where it is destroyed.
template <class Stub, class Async, class Request, class Reply,
          asio::completion_token_for<void(grpc::Status)> Token = asio::deferred_t>
auto async_unary(Stub& stub, unary_method<Async, Request, Reply> method, grpc::ClientContext& context,
                 const std::type_identity_t<Request>& request, std::type_identity_t<Reply>& reply, Token&& token = {}) {
  using target = detail::executor_target<asio::system_executor>;
  auto begin = [&stub, method, &context, &request, &reply](auto handler, const target& otherwise) {
    auto start = [&](detail::unary_callback callback) {
      (stub.async()->*method)(&context, &request, &reply, std::move(callback));
    };
    detail::posted_handler posted(std::move(handler), otherwise.executor);
    auto& handler_context = posted.context();
    detail::start_unary(std::move(posted), handler_context, context, std::ref(start));
  };
  return asio::async_initiate<Token, void(grpc::Status)>(detail::initiation(target{}, begin), token);
}

/// Makes a unary RPC, and returns its status to a coroutine:
///
///     grpc::Status status = co_await conn_grpc::unary(
///         *stub, &Greeter::Stub::async::SayHello, context, request, reply);
///
/// If the RPC ends because its connection is lost, the pool withdraws the channel before
/// the coroutine resumes. So an RPC whose status names a lost connection may complete
/// later: when gRPC reports the loss, or after 250 ms. On a channel of the user's own
/// `create_channel`, it completes after 20 ms.
///
/// *Errors*: The grpc::Status has the error. Cancellation does not throw.
///
/// *Cancellation*: Any type calls grpc::ClientContext::TryCancel. The RPC ends with the
/// status CANCELLED, unless it had already ended.
///
/// *Thread safety*: Any thread may call this function, as with gRPC's stubs.
///
/// *Executor*: The coroutine stays on its own executor.
///
/// *Lifetime*: `stub`, `context` and `reply` must live until the RPC ends. `request` must
/// live until the RPC has begun, which is when the result is awaited. It is not read
/// before. If the coroutine's execution context is destroyed first, the library cancels
/// the RPC, and waits for its end. Then it destroys the coroutine. So objects in its
/// frame live long enough.
/// @tparam Executor The executor type of the awaiting coroutine, if it is not
/// asio::any_io_executor: `conn_grpc::unary<E>(…)` in an `asio::awaitable<T, E>`.
template <class Executor = asio::any_io_executor, class Stub, class Async, class Request, class Reply>
[[nodiscard]] asio::awaitable<grpc::Status, Executor> unary(Stub& stub, unary_method<Async, Request, Reply> method,
                                                            grpc::ClientContext& context,
                                                            const std::type_identity_t<Request>& request,
                                                            std::type_identity_t<Reply>& reply) {
  return async_unary(stub, method, context, request, reply, asio::use_awaitable_t<Executor>());
}

/// Deleted, because `&Stub::Method` blocks. Pass `&Stub::async::Method`.
template <class Executor = asio::any_io_executor, class Stub, class Class, class Request, class Reply>
void unary(Stub& stub, grpc::Status (Class::*blocking)(grpc::ClientContext*, const Request&, Reply*),
           grpc::ClientContext& context, const std::type_identity_t<Request>& request,
           std::type_identity_t<Reply>& reply) = delete;

}  // namespace conn_grpc
