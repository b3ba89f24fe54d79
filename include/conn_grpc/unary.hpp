// SPDX-License-Identifier: BSL-1.0
#pragma once

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

namespace detail {

using unary_handler = asio::any_completion_handler<void(const fallback&, grpc::Status)>;
using unary_callback = std::function<void(grpc::Status)>;

/// Calls `start` with the callback to give to gRPC.
/// @param handler posts: it may be called by any thread.
/// @param handler_context where it posts to.
CONN_GRPC_API void start_unary(unary_handler handler, asio::execution_context& handler_context,
                               grpc::ClientContext& context, const std::function<void(unary_callback)>& start);

}  // namespace detail

/// One method of a generated stub as gRPC's callback API has it: `&Greeter::Stub::async::SayHello`.
template <class Async, class Request, class Reply>
using unary_method = void (Async::*)(grpc::ClientContext*, const Request*, Reply*, std::function<void(grpc::Status)>);

/// Makes one unary RPC. Completes with signature void(grpc::Status).
///
/// When the RPC ends because its connection is lost, the channel of the pool is withdrawn before this completes. For
/// that an RPC whose status names a lost connection may complete later: when gRPC reports the loss, or after 250 ms
/// (after 20 ms on a channel of the user's own `create_channel`).
///
/// The handler's associated allocator, unless that is std::allocator, holds the handler: it allocates in this function,
/// and deallocates on the handler's executor, before the handler is called; never on gRPC's thread. A handler that is
/// destroyed uncalled is deallocated where it is destroyed.
///
/// *Errors*: in the grpc::Status.
///
/// *Executor*: the completion is posted to the handler's associated executor. When that executor throws, the handler is
/// posted to the system executor. A HANDLER WITHOUT AN EXECUTOR IS CALLED BY ANOTHER THREAD, one of Asio's system
/// executor: an RPC has no I/O object whose executor could be the default. A stub knows its channel but no execution
/// context, and one channel may be used from many. A coroutine has an executor; give one to a callback with
/// asio::bind_executor.
///
/// *Cancellation*: any type is grpc::ClientContext::TryCancel. The RPC ends with status CANCELLED, unless it had ended
/// by itself.
///
/// *Lifetime*: `stub`, `context` and `reply` must live until it completes, `request` until it has begun. When the
/// execution context of the handler is destroyed before, the RPC is cancelled, and its end awaited, before the handler
/// is destroyed: what lives in a coroutine's frame lives long enough.
///
/// *Thread safety*: any thread, as gRPC's stubs.
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

/// The same as an awaitable:
///
///     grpc::Status status = co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request,
///     reply);
///
/// The request is not read before it is awaited.
///
/// *Errors*: in the grpc::Status; cancellation does not throw. *Cancellation*, *lifetime* and *thread safety* as for
/// `async_unary`. *Executor*: the coroutine stays on its own.
/// @tparam Executor of the coroutine that awaits it, where that is not asio::any_io_executor.
template <class Executor = asio::any_io_executor, class Stub, class Async, class Request, class Reply>
[[nodiscard]] asio::awaitable<grpc::Status, Executor> unary(Stub& stub, unary_method<Async, Request, Reply> method,
                                                            grpc::ClientContext& context,
                                                            const std::type_identity_t<Request>& request,
                                                            std::type_identity_t<Reply>& reply) {
  return async_unary(stub, method, context, request, reply, asio::use_awaitable_t<Executor>());
}

/// `&Stub::Method` blocks; `&Stub::async::Method` is the one to pass.
template <class Executor = asio::any_io_executor, class Stub, class Class, class Request, class Reply>
void unary(Stub& stub, grpc::Status (Class::*blocking)(grpc::ClientContext*, const Request&, Reply*),
           grpc::ClientContext& context, const std::type_identity_t<Request>& request,
           std::type_identity_t<Reply>& reply) = delete;

}  // namespace conn_grpc
