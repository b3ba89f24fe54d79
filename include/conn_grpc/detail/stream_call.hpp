// SPDX-License-Identifier: BSL-1.0
// The parts that all streams share. The code for handlers, locks and lifetimes is compiled
// into the library, and knows no type of a message. A thin reactor for each kind of stream
// owns the messages, and calls gRPC.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/status.h>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/system_executor.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/initiation.hpp>
#include <conn_grpc/detail/posted_handler.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>

namespace conn_grpc::detail {

/// A parameter: a context that the user owns, or a context that the call will own.
class call_context {
 public:
  call_context(grpc::ClientContext& users) : used_(&users) {}
  template <class Deleter>
  call_context(std::unique_ptr<grpc::ClientContext, Deleter> owned) : used_(owned.get()), owned_(std::move(owned)) {}

  [[nodiscard]] grpc::ClientContext& get() const noexcept { return *used_; }
  [[nodiscard]] bool is_owned() const noexcept { return owned_ != nullptr; }

 private:
  grpc::ClientContext* used_;
  std::unique_ptr<grpc::ClientContext> owned_;
};

/// A message to send. One of the pointers is null. The reactor knows the type of the message.
struct outgoing_message {
  const void* copied = nullptr;
  void* moved = nullptr;
};

/// An object that a stream owns until gRPC has ended the RPC.
class stream_owner {
 public:
  stream_owner() = default;
  virtual ~stream_owner() = default;
  stream_owner(const stream_owner&) = delete;
  stream_owner& operator=(const stream_owner&) = delete;

  /// Called once, on a thread of gRPC's, when gRPC has ended the RPC.
  virtual void ended(const grpc::Status& status) noexcept = 0;
};

/// A streaming RPC, from its start until gRPC has ended it and the user has dropped it.
/// gRPC and the user's handle share its ownership.
///
/// *Thread safety*: at most one thread reads, and at most one writes. `finish` and `drop`
/// overlap with neither. Any thread may cancel.
class CONN_GRPC_API stream_call : public std::enable_shared_from_this<stream_call> {
 public:
  using bool_handler = asio::any_completion_handler<void(const fallback&, bool)>;
  using status_handler = asio::any_completion_handler<void(const fallback&, grpc::Status)>;

  virtual ~stream_call();
  stream_call(const stream_call&) = delete;
  stream_call& operator=(const stream_call&) = delete;

  /// The four operations. A handler posts its completion, so any thread may call it.
  void read(bool_handler handler, asio::execution_context& handler_context);
  void write(bool_handler handler, asio::execution_context& handler_context, outgoing_message message);
  void writes_done(bool_handler handler, asio::execution_context& handler_context);
  void finish(status_handler handler, asio::execution_context& handler_context);

  /// Moves the reply that arrived first to the user's object. Does nothing, and returns
  /// false, once the call has been dropped: the user's object may have been destroyed then.
  bool take_reply(void* reply);
  /// The same for a call with a single reply. That call knows the user's object.
  void take_only_reply();

  /// Called when the user's handle is destroyed. Cancels the call unless it has ended. If the
  /// user owns the context, waits until gRPC does not use it any more.
  void drop() noexcept;

  /// The context exists until the call is dropped.
  [[nodiscard]] grpc::ClientContext& context() const noexcept;

 protected:
  enum class kind { reads, only_writes };

  /// The largest number of messages that wait in each direction, between gRPC's threads and
  /// the user's. With such a buffer, threads do not wait for each other at every message.
  static constexpr std::size_t slots = 16;
  template <class Message>
  using buffer = std::array<Message, slots>;

  stream_call(kind what, call_context context);

  /// Calls `begin`, which makes gRPC bind the reactor, add a hold, and start the call.
  /// @param owner Released when gRPC has ended the call, before `finish` completes.
  void start(std::shared_ptr<stream_owner> owner, const std::function<void(grpc::ClientContext&)>& begin);

  /// Called instead of `start` for a call that could not begin.
  void never_begun(grpc::Status status);

  // The reactor calls these for gRPC's reports. `wrote` is for a message, and for the end of
  // the messages.
  void got(bool ok) noexcept;
  void wrote(bool ok) noexcept;
  void done(const grpc::Status& status) noexcept;

 private:
  struct state;
  struct steps;
  class deferred;

  // Operations of gRPC's reactor. Each kind of stream overrides those that it has.
  virtual void start_read(std::size_t /*slot*/) {}
  virtual void start_discarding_read() {}
  virtual void start_write(std::size_t /*slot*/, bool /*more_follow*/) {}
  virtual void start_writes_done() {}
  virtual void remove_hold() {}
  /// The size of the message that gRPC has read into the slot.
  [[nodiscard]] virtual std::size_t reply_size(std::size_t /*slot*/) const { return 0; }
  virtual void move_reply(std::size_t /*slot*/, void* /*to*/) {}
  virtual void move_only_reply() {}
  /// Copies or moves a message into the slot, and returns its size.
  virtual std::size_t store(std::size_t /*slot*/, outgoing_message) { return 0; }

  void carry_out(const steps& now);
  void look_later() noexcept;
  void look_at_requests(bool is_last) noexcept;
  void reply_is_taken();
  void cancel() noexcept;
  void cancel_finish() noexcept;
  bool complete_finish(bool at_once = false) noexcept;
  void loss_reported();
  void unhold();

  const std::unique_ptr<state> state_;
};

/// Returns a call that could not be begun. Its operations are false, and `finish` returns
/// the status.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<stream_call> make_failed_stream(call_context context, grpc::Status status);

/// The size of the message on the connection. If the size is not known, the result is so
/// large that the buffer has no room behind the message.
template <class Message>
[[nodiscard]] std::size_t size_of(const Message& message) {
  if constexpr (requires { std::size_t{message.ByteSizeLong()}; })
    return message.ByteSizeLong();
  else
    return (std::numeric_limits<std::size_t>::max)() / 2;
}

/// gRPC need not send a message by itself when more of them follow at once.
[[nodiscard]] inline grpc::WriteOptions hint(bool more_follow) {
  grpc::WriteOptions options;
  if (more_follow) options.set_buffer_hint();
  return options;
}

/// Copies or moves a message, and returns its size.
template <class Message>
std::size_t store_in(Message& stored, outgoing_message message) {
  if (message.moved != nullptr)
    stored = std::move(*static_cast<Message*>(message.moved));
  else if constexpr (std::is_copy_assignable_v<Message>)  // otherwise there is nothing to copy: see writable
    stored = *static_cast<const Message*>(message.copied);
  return size_of(stored);
}

template <class Request, class Reply>
class read_call final : public stream_call, private grpc::ClientReadReactor<Reply> {
 public:
  template <class Given>
  read_call(call_context context, Given&& request)
      : stream_call(kind::reads, std::move(context)), request_(std::forward<Given>(request)) {}

  template <class Stub, class Method>
  void open(Stub& stub, Method method, std::shared_ptr<stream_owner> owner) {
    auto begin = [&](grpc::ClientContext& context) {
      (stub.async()->*method)(&context, &request_, this);
      this->AddHold();
      this->StartCall();
    };
    start(std::move(owner), std::ref(begin));
  }

 private:
  void OnReadDone(bool ok) override { got(ok); }
  void OnDone(const grpc::Status& status) override { done(status); }

  void start_read(std::size_t slot) override { this->StartRead(&replies_[slot]); }
  void remove_hold() override { this->RemoveHold(); }
  [[nodiscard]] std::size_t reply_size(std::size_t slot) const override { return size_of(replies_[slot]); }
  void move_reply(std::size_t slot, void* reply) override { *static_cast<Reply*>(reply) = std::move(replies_[slot]); }

  Request request_;  // an interceptor may delay the sending
  stream_call::buffer<Reply> replies_;
};

template <class Request, class Reply>
class write_call final : public stream_call, private grpc::ClientWriteReactor<Request> {
 public:
  write_call(call_context context, Reply& users)
      : stream_call(kind::only_writes, std::move(context)), users_reply_(users) {}

  template <class Stub, class Method>
  void open(Stub& stub, Method method, std::shared_ptr<stream_owner> owner) {
    auto begin = [&](grpc::ClientContext& context) {
      (stub.async()->*method)(&context, &reply_, this);
      this->AddHold();
      this->StartCall();
    };
    start(std::move(owner), std::ref(begin));
  }

 private:
  void OnWriteDone(bool ok) override { wrote(ok); }
  void OnWritesDoneDone(bool ok) override { wrote(ok); }
  void OnDone(const grpc::Status& status) override { done(status); }

  void start_write(std::size_t slot, bool more_follow) override {
    this->StartWrite(&requests_[slot], hint(more_follow));
  }
  void start_writes_done() override { this->StartWritesDone(); }
  void remove_hold() override { this->RemoveHold(); }
  std::size_t store(std::size_t slot, outgoing_message message) override { return store_in(requests_[slot], message); }
  void move_only_reply() override { users_reply_ = std::move(reply_); }

  stream_call::buffer<Request> requests_;
  Reply reply_;
  Reply& users_reply_;
};

template <class Request, class Reply>
class bidi_call final : public stream_call, private grpc::ClientBidiReactor<Request, Reply> {
 public:
  explicit bidi_call(call_context context) : stream_call(kind::reads, std::move(context)) {}

  template <class Stub, class Method>
  void open(Stub& stub, Method method, std::shared_ptr<stream_owner> owner) {
    auto begin = [&](grpc::ClientContext& context) {
      (stub.async()->*method)(&context, this);
      this->AddHold();
      this->StartCall();
    };
    start(std::move(owner), std::ref(begin));
  }

 private:
  void OnReadDone(bool ok) override { got(ok); }
  void OnWriteDone(bool ok) override { wrote(ok); }
  void OnWritesDoneDone(bool ok) override { wrote(ok); }
  void OnDone(const grpc::Status& status) override { done(status); }

  void start_read(std::size_t slot) override { this->StartRead(&replies_[slot]); }
  void start_discarding_read() override { this->StartRead(&discarded_); }
  void start_write(std::size_t slot, bool more_follow) override {
    this->StartWrite(&requests_[slot], hint(more_follow));
  }
  void start_writes_done() override { this->StartWritesDone(); }
  void remove_hold() override { this->RemoveHold(); }
  [[nodiscard]] std::size_t reply_size(std::size_t slot) const override { return size_of(replies_[slot]); }
  void move_reply(std::size_t slot, void* reply) override { *static_cast<Reply*>(reply) = std::move(replies_[slot]); }
  std::size_t store(std::size_t slot, outgoing_message message) override { return store_in(requests_[slot], message); }

  stream_call::buffer<Request> requests_;
  stream_call::buffer<Reply> replies_;
  Reply discarded_;
};

/// Owns a call, and drops it.
class stream_handle {
 public:
  explicit stream_handle(std::shared_ptr<stream_call> call) noexcept : call_(std::move(call)) {}
  stream_handle(stream_handle&& other) noexcept = default;
  stream_handle& operator=(stream_handle&& other) noexcept {
    stream_handle(std::move(other)).call_.swap(call_);
    return *this;
  }
  stream_handle(const stream_handle&) = delete;
  stream_handle& operator=(const stream_handle&) = delete;
  ~stream_handle() {
    if (call_) call_->drop();
  }

  [[nodiscard]] const std::shared_ptr<stream_call>& call() const noexcept { return call_; }

 private:
  std::shared_ptr<stream_call> call_;
};

/// A handler that moves the reply to the user's object before it calls the user's handler.
/// So the reply is moved on the executor of the user's handler. gRPC writes only into the
/// library's memory.
template <class Handler>
class taking_handler {
 public:
  taking_handler(Handler handler, std::shared_ptr<stream_call> call, void* reply)
      : handler_(std::move(handler)), call_(std::move(call)), reply_(reply) {}

  [[nodiscard]] const Handler& handler() const noexcept { return handler_; }

  void operator()(bool ok) {
    const bool taken = ok && std::exchange(call_, nullptr)->take_reply(reply_);
    std::move(handler_)(taken);
  }
  void operator()(grpc::Status status) {
    if (status.ok()) std::exchange(call_, nullptr)->take_only_reply();
    std::move(handler_)(std::move(status));
  }

 private:
  Handler handler_;
  std::shared_ptr<stream_call> call_;
  void* reply_;
};

/// Initiates an operation of any kind of stream.
/// @param operation A member function of stream_call.
template <class Signature, class Operation, class Token, class... Args>
auto async_on_stream(std::shared_ptr<stream_call> call, Operation operation, Token&& token, Args... args) {
  using target = executor_target<asio::system_executor>;
  auto begin = [call = std::move(call), operation, args...](auto handler, const target& otherwise) {
    posted_handler posted(std::move(handler), otherwise.executor);
    auto& handler_context = posted.context();
    ((*call).*operation)(std::move(posted), handler_context, args...);
  };
  return asio::async_initiate<Token, Signature>(initiation(target{}, std::move(begin)), token);
}

/// The same for an operation that returns a reply.
template <class Signature, class Operation, class Token>
auto async_taking_reply(std::shared_ptr<stream_call> call, Operation operation, void* reply, Token&& token) {
  using target = executor_target<asio::system_executor>;
  auto begin = [call = std::move(call), operation, reply](auto handler, const target& otherwise) {
    posted_handler posted(taking_handler(std::move(handler), call, reply), otherwise.executor);
    auto& handler_context = posted.context();
    ((*call).*operation)(std::move(posted), handler_context);
  };
  return asio::async_initiate<Token, Signature>(initiation(target{}, std::move(begin)), token);
}

}  // namespace conn_grpc::detail

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, conn_grpc::detail::taking_handler<Handler>, Default>
    : Associator<Handler, Default> {
  static auto get(const conn_grpc::detail::taking_handler<Handler>& taking) noexcept {
    return Associator<Handler, Default>::get(taking.handler());
  }
  static auto get(const conn_grpc::detail::taking_handler<Handler>& taking, const Default& by_default) noexcept {
    return Associator<Handler, Default>::get(taking.handler(), by_default);
  }
};
