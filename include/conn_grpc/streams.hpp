// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// RPCs with streams of requests, of replies, or of both.

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/status.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/stream_call.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace conn_grpc {

/// A streaming RPC, of any kind.
///
/// *Lifetime*: A stream may be destroyed at any point. That cancels the RPC unless it has
/// ended, and pending operations complete with false, or with the status. If the stream
/// was opened with a reference to a context, the destructor waits until gRPC has ended the
/// RPC. gRPC needs no more time for that than for a cancellation. The destructor waits for
/// neither the server nor the io_context. It must not run inside a callback of gRPC's.
///
/// *Thread safety*: One thread may begin a read while another thread begins a write, or ends
/// the requests. No other two functions may be called at the same time. Any thread may
/// cancel an operation.
class stream_base {
 public:
  /// Waits for the end of the RPC. The completion signature is void(grpc::Status). Call it
  /// once. The status of a second call is FAILED_PRECONDITION.
  ///
  /// For a stream with replies: After a read or a write that was false, the status is the
  /// server's, or says what ended the RPC. Before that, this operation cancels the RPC, and
  /// the status is CANCELLED unless the server had ended the RPC. So read until a read is
  /// false. The operation does not wait for replies that the caller does not read.
  ///
  /// For a stream that has only requests: Does what `async_writes_done` does, if that was
  /// not called before. If the status is OK, the reply has been moved to the object that the
  /// stream was opened with.
  ///
  /// If the RPC ends because its connection is lost, the pool withdraws the channel before
  /// this operation completes, as for conn_grpc::async_unary.
  ///
  /// *Errors*: The grpc::Status has the error.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: none.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor, after those
  /// of the reads and writes that were begun before: on a strand the handlers are called in
  /// this order. **A handler without an executor is called by another thread**, which belongs
  /// to Asio's system executor.
  ///
  /// *Lifetime*: If the handler's execution context is destroyed first, the RPC is
  /// cancelled, and the handler is destroyed without a call.
  ///
  /// *Allocator*: As for conn_grpc::async_unary.
  template <asio::completion_token_for<void(grpc::Status)> Token = asio::deferred_t>
  auto async_finish(Token&& token = {}) {
    return detail::async_taking_reply<void(grpc::Status)>(handle_.call(), &detail::stream_call::finish, nullptr,
                                                          std::forward<Token>(token));
  }

  /// Waits for the end of the RPC, and returns its status, as `async_finish` does. Call it
  /// once.
  ///
  /// *Errors*: The grpc::Status has the error. Cancellation does not throw.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: none.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: If the coroutine's execution context is destroyed first, the RPC is
  /// cancelled.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<grpc::Status, Executor> finish() {
    return async_finish(asio::use_awaitable_t<Executor>());
  }

  /// Returns the context of the RPC, for example for its metadata.
  ///
  /// *Lifetime*: A context that the stream owns exists as long as the stream.
  [[nodiscard]] grpc::ClientContext& context() const noexcept { return handle_.call()->context(); }

 protected:
  /// @cond
  explicit stream_base(std::shared_ptr<detail::stream_call> call) : handle_(std::move(call)) {}

  [[nodiscard]] const std::shared_ptr<detail::stream_call>& call() const noexcept { return handle_.call(); }
  /// @endcond

 private:
  detail::stream_handle handle_;
};

/// A stream with replies to read.
/// @tparam Base `stream_base`, or `writable` if the stream also has requests.
template <class Reply, class Base = stream_base>
class readable : public Base {
 public:
  /// Reads the next reply. The completion signature is void(bool). It is false when there
  /// are no more replies, for whatever reason, and `reply` is then unchanged. One read at a
  /// time: a second one is false, and changes nothing. From the first read on gRPC reads
  /// ahead: up to 16 replies, while those that wait are together less than 64 KiB.
  ///
  /// *Errors*: `async_finish` has the status. If a reply cannot be parsed, the read is
  /// false, too.
  ///
  /// *Cancellation*: Any type cancels the RPC. The read is false, unless a reply had
  /// already arrived.
  ///
  /// *Thread safety*: Another thread may begin a write at the same time.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor, or may be
  /// dispatched inside an event_engine_scope. **A handler without an executor is called by
  /// another thread**, which belongs to Asio's system executor.
  ///
  /// *Lifetime*: `reply` must live until the operation completes, or until the stream is
  /// destroyed. It is written to on the handler's executor. If the handler's execution
  /// context is destroyed first, the RPC is cancelled, and the handler is destroyed without
  /// a call.
  ///
  /// *Allocator*: As for conn_grpc::async_unary.
  template <asio::completion_token_for<void(bool)> Token = asio::deferred_t>
  auto async_read(Reply& reply, Token&& token = {}) {
    return detail::async_taking_reply<void(bool)>(this->call(), &detail::stream_call::read, &reply,
                                                  std::forward<Token>(token));
  }

  /// Reads the next reply: `while (co_await in.read(reply))`. False when there are no more
  /// replies, for whatever reason. One read at a time.
  ///
  /// *Errors*: `finish` has the status. Cancellation does not throw.
  ///
  /// *Cancellation*: Any type cancels the RPC. The read is false, unless a reply had
  /// already arrived.
  ///
  /// *Thread safety*: Another thread may begin a write at the same time.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: `reply` must live until the read completes, or until the stream is
  /// destroyed. If the coroutine's execution context is destroyed first, the RPC is
  /// cancelled.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<bool, Executor> read(Reply& reply) {
    return async_read(reply, asio::use_awaitable_t<Executor>());
  }

 protected:
  using Base::Base;
};

/// A stream with requests to write.
/// @tparam Base The base class.
template <class Request, class Base = stream_base>
class writable : public Base {
 public:
  /// Writes a request. The completion signature is void(bool). It is true when the stream
  /// has room for the next request. Its buffer has room for 16 requests, and for 64 KiB in
  /// all. gRPC writes them one by one, within the server's flow control. The write of a
  /// larger request completes when gRPC has passed it to the connection. The result is
  /// false when the RPC has ended, for whatever reason. The user may then still read replies
  /// that the server sent before. One write at a time, and none after `async_writes_done`:
  /// such a write is false, and changes nothing.
  ///
  /// *Errors*: `async_finish` has the status.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: Another thread may begin a read at the same time.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor, or may be
  /// dispatched inside an event_engine_scope. **A handler without an executor is called by
  /// another thread**, which belongs to Asio's system executor.
  ///
  /// *Lifetime*: `request` must live until the operation has begun, which copies it. If the
  /// handler's execution context is destroyed first, the RPC is cancelled, and the handler
  /// is destroyed without a call.
  ///
  /// *Allocator*: As for conn_grpc::async_unary.
  template <asio::completion_token_for<void(bool)> Token = asio::deferred_t>
    requires std::is_copy_assignable_v<Request>
  auto async_write(const Request& request, Token&& token = {}) {
    return detail::async_on_stream<void(bool)>(this->call(), &detail::stream_call::write, std::forward<Token>(token),
                                               detail::outgoing_message{.copied = &request});
  }

  /// Writes a request as the other overload does, but moves it when the operation begins. A
  /// second write, or one after `async_writes_done`, leaves the request unchanged. The
  /// completion signature is void(bool). It is true when the stream has room for the next
  /// request, and false when the RPC has ended.
  ///
  /// *Errors*: `async_finish` has the status.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: Another thread may begin a read at the same time.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor, or may be
  /// dispatched inside an event_engine_scope. **A handler without an executor is called by
  /// another thread**, which belongs to Asio's system executor.
  ///
  /// *Lifetime*: `request` must live until the operation has begun, which moves it. If the
  /// handler's execution context is destroyed first, the RPC is cancelled, and the handler
  /// is destroyed without a call.
  ///
  /// *Allocator*: As for conn_grpc::async_unary.
  template <asio::completion_token_for<void(bool)> Token = asio::deferred_t>
  auto async_write(Request&& request, Token&& token = {}) {  // NOLINT(*-rvalue-reference-param-not-moved): later
    return detail::async_on_stream<void(bool)>(this->call(), &detail::stream_call::write, std::forward<Token>(token),
                                               detail::outgoing_message{.moved = &request});
  }

  /// Writes a request: `bool sent = co_await out.write(request)`. True when the stream has
  /// room for the next request, as for `async_write`, and false when the RPC has ended, for
  /// whatever reason. One write at a time, and none after `writes_done`.
  ///
  /// *Errors*: `finish` has the status. Cancellation does not throw.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: Another thread may begin a read at the same time.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: `request` must live until the result is awaited, which copies it. If the
  /// coroutine's execution context is destroyed first, the RPC is cancelled.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
    requires std::is_copy_assignable_v<Request>
  [[nodiscard]] asio::awaitable<bool, Executor> write(const Request& request) {
    return async_write(request, asio::use_awaitable_t<Executor>());
  }

  /// Writes a request as the other overload does, but moves it when the result is awaited. A
  /// second write, or one after `writes_done`, leaves the request unchanged. True when the
  /// stream has room for the next request, and false when the RPC has ended.
  ///
  /// *Errors*: `finish` has the status. Cancellation does not throw.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: Another thread may begin a read at the same time.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: `request` must live until the result is awaited, which moves it. If the
  /// coroutine's execution context is destroyed first, the RPC is cancelled.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<bool, Executor> write(Request&& request) {
    return async_write(std::move(request), asio::use_awaitable_t<Executor>());
  }

  /// Tells the server that there are no more requests. The completion signature is
  /// void(bool). It is false when the RPC has ended, for whatever reason, and while a write
  /// is pending. Call it once.
  ///
  /// *Errors*: `async_finish` has the status.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: Another thread may begin a read at the same time.
  ///
  /// *Executor*: The completion is posted to the handler's associated executor, or may be
  /// dispatched inside an event_engine_scope. **A handler without an executor is called by
  /// another thread**, which belongs to Asio's system executor.
  ///
  /// *Lifetime*: If the handler's execution context is destroyed first, the RPC is
  /// cancelled, and the handler is destroyed without a call.
  ///
  /// *Allocator*: As for conn_grpc::async_unary.
  template <asio::completion_token_for<void(bool)> Token = asio::deferred_t>
  auto async_writes_done(Token&& token = {}) {
    return detail::async_on_stream<void(bool)>(this->call(), &detail::stream_call::writes_done,
                                               std::forward<Token>(token));
  }

  /// Tells the server that there are no more requests. False when the RPC has ended, for
  /// whatever reason, and while a write is pending. Call it once.
  ///
  /// *Errors*: `finish` has the status. Cancellation does not throw.
  ///
  /// *Cancellation*: Any type cancels the RPC.
  ///
  /// *Thread safety*: Another thread may begin a read at the same time.
  ///
  /// *Executor*: The coroutine stays on its own executor.
  ///
  /// *Lifetime*: If the coroutine's execution context is destroyed first, the RPC is
  /// cancelled.
  /// @tparam Executor The executor type of the awaiting coroutine, if it is not
  /// asio::any_io_executor.
  template <class Executor = asio::any_io_executor>
  [[nodiscard]] asio::awaitable<bool, Executor> writes_done() {
    return async_writes_done(asio::use_awaitable_t<Executor>());
  }

 protected:
  using Base::Base;
};

/// The replies of an RPC with one request and a stream of replies. Made by
/// conn_grpc::open.
///
///     auto in = conn_grpc::open(*stub, &Greeter::Stub::async::Countdown, context, request);
///     while (co_await in.read(reply)) use(reply);
///     grpc::Status status = co_await in.finish();
template <class Reply>
class read_stream : public readable<Reply> {
 public:
  /// @cond
  explicit read_stream(std::shared_ptr<detail::stream_call> call) : readable<Reply>(std::move(call)) {}
  /// @endcond
};

/// The requests of an RPC with a stream of requests and one reply. Made by
/// conn_grpc::open.
///
///     auto out = conn_grpc::open(*stub, &Greeter::Stub::async::Collect, context, reply);
///     bool sent = co_await out.write(request);
///     grpc::Status status = co_await out.finish();
///
/// *Lifetime*: The reply must live until `finish` completes, or until the stream is
/// destroyed.
template <class Request>
class write_stream : public writable<Request> {
 public:
  /// @cond
  explicit write_stream(std::shared_ptr<detail::stream_call> call) : writable<Request>(std::move(call)) {}
  /// @endcond
};

/// An RPC with a stream of requests and a stream of replies. Made by conn_grpc::open.
///
///     auto both = conn_grpc::open(*stub, &Greeter::Stub::async::Chat, context);
template <class Request, class Reply>
class bidi_stream : public readable<Reply, writable<Request>> {
 public:
  /// @cond
  explicit bidi_stream(std::shared_ptr<detail::stream_call> call)
      : readable<Reply, writable<Request>>(std::move(call)) {}
  /// @endcond
};

/// A method of a generated stub with a stream of replies, in the form of gRPC's callback
/// API: `&Greeter::Stub::async::Countdown`.
template <class Async, class Request, class Reply>
using read_method = void (Async::*)(grpc::ClientContext*, const Request*, grpc::ClientReadReactor<Reply>*);

/// A method of a generated stub with a stream of requests, in the form of gRPC's callback
/// API: `&Greeter::Stub::async::Collect`.
template <class Async, class Request, class Reply>
using write_method = void (Async::*)(grpc::ClientContext*, Reply*, grpc::ClientWriteReactor<Request>*);

/// A method of a generated stub with streams in both directions, in the form of gRPC's
/// callback API: `&Greeter::Stub::async::Chat`.
template <class Async, class Request, class Reply>
using bidi_method = void (Async::*)(grpc::ClientContext*, grpc::ClientBidiReactor<Request, Reply>*);

/// Begins an RPC with a stream of replies. Does not wait.
///
/// *Errors*: `read` is false, and `finish` has the status.
///
/// *Thread safety*: Any thread may call this function, as with gRPC's stubs.
///
/// *Lifetime*: `stub` and `request` must live until this function returns.
/// @param context A grpc::ClientContext, which must live longer than the stream, or a
/// std::unique_ptr<grpc::ClientContext>, which the stream owns. With a unique_ptr the
/// destructor of the stream does not wait.
template <class Stub, class Async, class Request, class Reply>
[[nodiscard]] read_stream<Reply> open(Stub& stub, read_method<Async, Request, Reply> method,
                                      detail::call_context context, const std::type_identity_t<Request>& request) {
  auto call = std::make_shared<detail::read_call<Request, Reply>>(std::move(context), request);
  call->open(stub, method, nullptr);
  return read_stream<Reply>(std::move(call));
}

/// Begins an RPC with a stream of requests. Does not wait.
///
/// *Errors*: `write` is false, and `finish` has the status.
///
/// *Thread safety*: Any thread may call this function, as with gRPC's stubs.
///
/// *Lifetime*: `stub` must live until this function returns, and `reply` until `finish`
/// completes or the stream is destroyed.
/// @param context A grpc::ClientContext, which must live longer than the stream, or a
/// std::unique_ptr<grpc::ClientContext>, which the stream owns. With a unique_ptr the
/// destructor of the stream does not wait.
template <class Stub, class Async, class Request, class Reply>
[[nodiscard]] write_stream<Request> open(Stub& stub, write_method<Async, Request, Reply> method,
                                         detail::call_context context, std::type_identity_t<Reply>& reply) {
  auto call = std::make_shared<detail::write_call<Request, Reply>>(std::move(context), reply);
  call->open(stub, method, nullptr);
  return write_stream<Request>(std::move(call));
}

/// Begins an RPC with streams in both directions. Does not wait.
///
/// *Errors*: `read` and `write` are false, and `finish` has the status.
///
/// *Thread safety*: Any thread may call this function, as with gRPC's stubs.
///
/// *Lifetime*: `stub` must live until this function returns.
/// @param context A grpc::ClientContext, which must live longer than the stream, or a
/// std::unique_ptr<grpc::ClientContext>, which the stream owns. With a unique_ptr the
/// destructor of the stream does not wait.
template <class Stub, class Async, class Request, class Reply>
[[nodiscard]] bidi_stream<Request, Reply> open(Stub& stub, bidi_method<Async, Request, Reply> method,
                                               detail::call_context context) {
  auto call = std::make_shared<detail::bidi_call<Request, Reply>>(std::move(context));
  call->open(stub, method, nullptr);
  return bidi_stream<Request, Reply>(std::move(call));
}

}  // namespace conn_grpc
