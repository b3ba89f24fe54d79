// SPDX-License-Identifier: BSL-1.0
// RPCs with streams, against a server in a process of its own.
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_callback.h>

#include <unistd.h>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/streams.hpp>
#include <conn_grpc/unary.hpp>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greeter.grpc.pb.h"
#include "support/background.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"

using namespace conn_grpc::test;

namespace {

using methods = class Greeter::Stub::async;

// Tells one kind of context from the other in tests of both.
enum class owner { user, stream };

struct streams_fixture {
  streams_fixture() {
    pool.async_run([](conn_grpc::error_code) {});
    run(io, seen.until([&] { return seen.connects == 1; }));
    stub = Greeter::NewStub(*pool.try_get_channel());
  }

  /// Asks the server until it has no open stream, and returns how many were cancelled.
  asio::awaitable<int> cancelled_when_all_have_ended() {
    for (;;) {
      const auto counts = co_await count_streams();
      if (counts.open() == 0) co_return counts.cancelled();
    }
  }
  /// Asks the server until it has so many open streams.
  asio::awaitable<void> until_open(int streams) {
    for (;;) {
      const auto counts = co_await count_streams();
      if (counts.open() == streams) co_return;
    }
  }
  asio::awaitable<StreamCounts> count_streams() {
    grpc::ClientContext context;
    const CountStreamsRequest request;
    StreamCounts counts;
    const auto status = co_await conn_grpc::unary(*stub, &methods::CountStreams, context, request, counts);
    if (!status.ok()) throw std::runtime_error(status.error_message());
    co_return counts;
  }

  server_process server{greeter_server(), "127.0.0.1:0", {"--window", "65536"}};
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool{io, {.channel = seen.watch({.address = "127.0.0.1:" + std::to_string(server.port())})}};
  std::unique_ptr<Greeter::Stub> stub;
};

CountdownRequest countdown_from(int number, Then then = Then::GO_ON, int size = 0) {
  CountdownRequest request;
  request.set_from(number);
  request.set_then(then);
  request.set_size(size);
  return request;
}

CollectRequest collected(int number, Then then = Then::GO_ON, std::size_t size = 0) {
  CollectRequest request;
  request.set_number(number);
  request.set_then(then);
  request.set_payload(std::string(size, 'x'));
  return request;
}

ChatMessage said(const std::string& text, Then then = Then::GO_ON) {
  ChatMessage message;
  message.set_text(text);
  message.set_then(then);
  return message;
}

// More than a server that does not read lets a client send.
constexpr std::size_t too_much = 200'000;

/// A context that is the user's, or that the stream owns.
class either_context {
 public:
  explicit either_context(owner whose) : whose_(whose) {}

  conn_grpc::detail::call_context get() {
    if (whose_ == owner::stream) return std::make_unique<grpc::ClientContext>();
    return users_.emplace();
  }

 private:
  const owner whose_;
  std::optional<grpc::ClientContext> users_;
};

}  // namespace

namespace {

/// A reply of Countdown that is not protobuf's, and cannot be parsed when it has a certain
/// number.
struct fragile_reply {
  static constexpr int broken_number = 3;
  [[nodiscard]] static std::size_t ByteSizeLong() { return 1; }
  int number = 0;
};

/// A reply of Countdown whose assignment takes a while.
struct slow_reply {
  slow_reply() = default;
  slow_reply& operator=(slow_reply&&) noexcept {
    is_written = true;
    begins.set_value();
    std::this_thread::sleep_for(50ms);
    is_written = false;
    return *this;
  }

  std::promise<void> begins;
  std::atomic<bool> is_written{false};
};

/// A request of Collect that shares its payload. Its size is not known.
struct counted_request {
  std::shared_ptr<std::string> payload;
};

/// What is generated for the Greeter, for one message that is not protobuf's.
template <class Message>
class custom_stub {
 public:
  class async_methods {
   public:
    explicit async_methods(std::shared_ptr<grpc::ChannelInterface> channel) : channel_(std::move(channel)) {}

    void Countdown(grpc::ClientContext* context, const CountdownRequest* request,
                   grpc::ClientReadReactor<Message>* reactor) {
      const auto method = method_of("/conn_grpc.test.Greeter/Countdown", grpc::internal::RpcMethod::SERVER_STREAMING);
      grpc::internal::ClientCallbackReaderFactory<Message>::Create(channel_.get(), method, context, request, reactor);
    }
    void Collect(grpc::ClientContext* context, CollectReply* reply, grpc::ClientWriteReactor<Message>* reactor) {
      const auto method = method_of("/conn_grpc.test.Greeter/Collect", grpc::internal::RpcMethod::CLIENT_STREAMING);
      grpc::internal::ClientCallbackWriterFactory<Message>::Create(channel_.get(), method, context, reply, reactor);
    }

   private:
    [[nodiscard]] grpc::internal::RpcMethod method_of(const char* name, grpc::internal::RpcMethod::RpcType type) const {
      return {name, type, channel_};
    }

    const std::shared_ptr<grpc::ChannelInterface> channel_;
  };

  explicit custom_stub(std::shared_ptr<grpc::ChannelInterface> channel) : async_(std::move(channel)) {}
  async_methods* async() { return &async_; }

 private:
  async_methods async_;
};

}  // namespace

template <>
class grpc::SerializationTraits<fragile_reply> {
 public:
  static Status Deserialize(ByteBuffer* bytes, fragile_reply* reply) {
    CountdownReply parsed;
    auto status = SerializationTraits<CountdownReply>::Deserialize(bytes, &parsed);
    reply->number = parsed.number();
    return reply->number == fragile_reply::broken_number ? Status(StatusCode::INTERNAL, "broken") : status;
  }
};

template <>
class grpc::SerializationTraits<slow_reply> {
 public:
  static Status Deserialize(ByteBuffer* bytes, slow_reply*) {
    bytes->Clear();
    return Status::OK;
  }
};

template <>
class grpc::SerializationTraits<counted_request> {
 public:
  static Status Serialize(const counted_request& request, ByteBuffer* bytes, bool* owns) {
    CollectRequest serialized;
    serialized.set_payload(*request.payload);
    return SerializationTraits<CollectRequest>::Serialize(serialized, bytes, owns);
  }
};

TEST_CASE("a stream of replies is read to its end", "[streams]") {
  streams_fixture f;
  const auto whose = GENERATE(owner::user, owner::stream);
  const auto then = GENERATE(Then::GO_ON, Then::FAIL);
  run(f.io, [&]() -> asio::awaitable<void> {
    either_context context(whose);
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(100, then, 1000));
    CountdownReply reply;
    int next = 100;
    while (co_await in.read(reply)) {
      CHECK(reply.number() == next--);
      CHECK(reply.payload().size() == 1000);
    }
    CHECK(next == 0);
    CHECK(reply.number() == 1);  // a read that is false leaves it unchanged
    const bool again = co_await in.read(reply);
    CHECK_FALSE(again);
    const auto status = co_await in.finish();
    CHECK(status.error_code() == (then == Then::FAIL ? grpc::StatusCode::ABORTED : grpc::StatusCode::OK));
    CHECK(status.error_message() == (then == Then::FAIL ? "enough" : ""));
    const auto second = co_await in.finish();
    CHECK(second.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK(in.context().GetServerTrailingMetadata().empty());
  }());
}

TEST_CASE("a stream of requests is answered once", "[streams]") {
  streams_fixture f;
  const auto whose = GENERATE(owner::user, owner::stream);
  const bool says_done = GENERATE(false, true);
  run(f.io, [&]() -> asio::awaitable<void> {
    either_context context(whose);
    CollectReply reply;
    auto out = conn_grpc::open(*f.stub, &methods::Collect, context.get(), reply);
    CollectRequest request;
    for (int i = 1; i <= 100; ++i) {
      request.set_number(i);
      const bool sent = co_await out.write(request);
      CHECK(sent);
    }
    const bool moved = co_await out.write(collected(1000));
    CHECK(moved);
    if (says_done) {
      const bool done = co_await out.writes_done();
      CHECK(done);
      const bool late = co_await out.write(request);
      CHECK_FALSE(late);
      const bool twice = co_await out.writes_done();
      CHECK_FALSE(twice);
    }
    const auto status = co_await out.finish();
    CHECK(status.ok());
    CHECK(reply.count() == 101);
    CHECK(reply.sum() == 6050);
  }());
}

TEST_CASE("a slow reader gets each reply, in order", "[streams]") {
  streams_fixture f;
  const int bytes = GENERATE(10, 10'000, 100'000);
  constexpr int replies = 60;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(replies, Then::GO_ON, bytes));
    CountdownReply reply;
    int next = replies;
    while (co_await in.read(reply)) {
      CHECK(reply.number() == next--);
      CHECK(reply.payload().size() == static_cast<std::size_t>(bytes));
      (void)co_await f.count_streams();  // meanwhile others arrive
    }
    CHECK(next == 0);
    const auto status = co_await in.finish();
    CHECK(status.ok());
  }());
}

TEST_CASE("requests that wait are sent before the end of the requests", "[streams]") {
  streams_fixture f;
  const std::size_t bytes = GENERATE(10U, 10'000U, 100'000U);
  const bool says_done = GENERATE(false, true);
  constexpr int requests = 40;
  run(f.io, [&]() -> asio::awaitable<void> {
    for (int begun = 1; begun <= requests; ++begun) {
      grpc::ClientContext context;
      CollectReply reply;
      auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
      for (int i = 0; i < begun; ++i) {
        const bool sent = co_await out.write(collected(i, Then::GO_ON, bytes));
        CHECK(sent);
      }
      if (says_done) {
        const bool done = co_await out.writes_done();
        CHECK(done);
      }
      const auto status = co_await out.finish();
      CHECK(status.ok());
      CHECK(reply.count() == begun);
      CHECK(reply.sum() == begun * (begun - 1) / 2);
    }
  }());
}

TEST_CASE("finish() may be called while the last write is pending", "[streams]") {
  streams_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    CollectReply reply;
    auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
    std::optional<bool> sent;
    out.async_write(collected(7, Then::GO_ON, 1'000'000), asio::bind_executor(f.io, [&](bool ok) { sent = ok; }));
    const auto status = co_await out.finish();
    CHECK(status.ok());
    CHECK(reply.sum() == 7);
    CHECK(sent == true);
  }());
}

TEST_CASE("reading and writing overlap on a stream in both directions", "[streams]") {
  using namespace boost::asio::experimental::awaitable_operators;
  streams_fixture f;
  const auto whose = GENERATE(owner::user, owner::stream);
  constexpr int messages = 500;
  run(f.io, [&]() -> asio::awaitable<void> {
    either_context context(whose);
    auto both = conn_grpc::open(*f.stub, &methods::Chat, context.get());
    int heard = 0;
    const auto listen = [&]() -> asio::awaitable<void> {
      ChatMessage message;
      while (co_await both.read(message)) CHECK(message.text() == std::to_string(heard++));
    };
    const auto talk = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < messages; ++i) {
        const bool sent = co_await both.write(said(std::to_string(i)));
        CHECK(sent);
      }
      const bool done = co_await both.writes_done();
      CHECK(done);
    };
    co_await (listen() && talk());
    CHECK(heard == messages);
    const auto status = co_await both.finish();
    CHECK(status.ok());
  }());
}

TEST_CASE("one thread reads and another one writes", "[streams]") {
  streams_fixture f;
  asio::thread_pool threads(2);
  const auto context = std::make_shared<grpc::ClientContext>();
  auto both = conn_grpc::open(*f.stub, &methods::Chat, *context);
  constexpr int messages = 2'000;
  const auto listen = [&]() -> asio::awaitable<int> {
    ChatMessage message;
    int heard = 0;
    // No CHECK here: Catch2's assertions are for one thread at a time.
    while (co_await both.read(message))
      if (message.text() == std::to_string(heard)) ++heard;
    co_return heard;
  };
  const auto talk = [&]() -> asio::awaitable<int> {
    int sent = 0;
    for (; sent < messages; ++sent) {
      const bool ok = co_await both.write(said(std::to_string(sent)));
      if (!ok) break;
    }
    (void)co_await both.writes_done();
    co_return sent;
  };
  auto heard = asio::co_spawn(asio::make_strand(threads), listen(), asio::use_future);
  auto sent = asio::co_spawn(asio::make_strand(threads), talk(), asio::use_future);
  CHECK(sent.get() == messages);
  CHECK(heard.get() == messages);
  CHECK(both.async_finish(asio::use_future).get().ok());
}

TEST_CASE("a server that ends a stream early", "[streams]") {
  streams_fixture f;
  SECTION("of requests, which it reads no further") {
    run(f.io, [&]() -> asio::awaitable<void> {
      grpc::ClientContext context;
      CollectReply reply;
      auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
      int written = 0;
      while (co_await out.write(collected(1, written == 3 ? Then::FAIL : Then::GO_ON, 100'000))) ++written;
      CHECK(written >= 3);
      const bool done = co_await out.writes_done();
      CHECK_FALSE(done);
      const auto status = co_await out.finish();
      CHECK(status.error_code() == grpc::StatusCode::ABORTED);
      CHECK(status.error_message() == "enough");
      CHECK(reply.count() == 0);
    }());
  }
  SECTION("in both directions, while a read is pending") {
    run(f.io, [&]() -> asio::awaitable<void> {
      grpc::ClientContext context;
      auto both = conn_grpc::open(*f.stub, &methods::Chat, context);
      const bool sent = co_await both.write(said("last", Then::FAIL));
      CHECK(sent);
      ChatMessage message;
      const bool first = co_await both.read(message);
      CHECK(first);
      CHECK(message.text() == "last");
      const bool second = co_await both.read(message);
      CHECK_FALSE(second);
      const bool late = co_await both.write(said("too late"));
      CHECK_FALSE(late);
      const auto status = co_await both.finish();
      CHECK(status.error_message() == "enough");
    }());
  }
  SECTION("in both directions, with replies that nobody reads") {
    run(f.io, [&]() -> asio::awaitable<void> {
      grpc::ClientContext context;
      auto both = conn_grpc::open(*f.stub, &methods::Chat, context);
      for (int i = 0; i < 10; ++i) (void)co_await both.write(said("more"));
      (void)co_await both.write(said("last", Then::FAIL));
      while (co_await both.write(said("too late"))) {
      }
      const auto status = co_await both.finish();
      CHECK(status.error_message() == "enough");
    }());
  }
}

TEST_CASE("finish() before the end of the replies cancels the RPC", "[streams]") {
  streams_fixture f;
  const int from = GENERATE(0, 10, 100'000);  // then the server is silent
  const int reads = from == 0 ? 0 : GENERATE(0, 5);
  CAPTURE(from, reads);
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(from, Then::HANG, 1000));
    co_await f.until_open(1);
    CountdownReply reply;
    for (int i = 0; i < reads; ++i) {
      const bool read = co_await in.read(reply);
      CHECK(read);
    }
    const auto status = co_await in.finish();
    CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
    const int cancelled = co_await f.cancelled_when_all_have_ended();
    CHECK(cancelled == 1);
  }());
}

TEST_CASE("finish() ends a read that is pending", "[streams]") {
  streams_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(0, Then::HANG));
    CountdownReply reply;
    std::optional<bool> read;
    in.async_read(reply, asio::bind_executor(f.io, [&](bool ok) { read = ok; }));
    const auto status = co_await in.finish();
    CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
    CHECK(read == false);
  }());
}

TEST_CASE("finish() completes after the read that was begun before it", "[streams]") {
  streams_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 20; ++i) {
      grpc::ClientContext context;
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(3, Then::HANG));
      CountdownReply reply;
      const bool first = co_await in.read(reply);
      CHECK(first);
      std::optional<bool> second;  // it may be there already
      in.async_read(reply, asio::bind_executor(f.io, [&](bool ok) { second = ok; }));
      (void)co_await in.finish();
      CHECK(second.has_value());
    }
  }());
}

TEST_CASE("a second operation of a kind is refused while one is pending", "[streams]") {
  streams_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    auto both = conn_grpc::open(*f.stub, &methods::Chat, context);
    ChatMessage first;
    ChatMessage second;
    std::optional<bool> read;
    both.async_read(first, asio::bind_executor(f.io, [&](bool ok) { read = ok; }));
    const bool overlapping = co_await both.read(second);
    CHECK_FALSE(overlapping);
    CHECK_FALSE(read.has_value());
    const bool sent = co_await both.write(said("both go on"));
    CHECK(sent);
    (void)co_await both.writes_done();
    while (co_await both.read(second)) {
    }
    while (!read) (void)co_await f.count_streams();
    CHECK(read == true);
    CHECK(first.text() == "both go on");
    grpc::ClientContext other;
    CollectReply reply;
    auto out = conn_grpc::open(*f.stub, &methods::Collect, other, reply);
    std::optional<bool> written;
    (void)co_await out.write(collected(1, Then::HANG));
    out.async_write(collected(2, Then::GO_ON, too_much), asio::bind_executor(f.io, [&](bool ok) { written = ok; }));
    auto kept = collected(3, Then::GO_ON, 10);
    const bool refused = co_await out.write(std::move(kept));
    CHECK_FALSE(refused);
    CHECK(kept.payload().size() == 10);  // NOLINT(bugprone-use-after-move): that is the promise
    const bool done = co_await out.writes_done();
    CHECK_FALSE(done);
    CHECK_FALSE(written.has_value());
  }());
}

TEST_CASE("a stream may be dropped at any point", "[streams]") {
  streams_fixture f;
  const auto whose = GENERATE(owner::user, owner::stream);
  const int streams = 20;
  const auto repeat = [&](const auto& use) -> asio::awaitable<void> {
    for (int i = 0; i < streams; ++i) {
      // The reply goes with the stream.
      const auto context = std::make_unique<either_context>(whose);
      co_await use(*context);
    }
    (void)co_await f.cancelled_when_all_have_ended();
  };
  SECTION("before the first read") {
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          const auto in =
              conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(100, Then::HANG, 10'000));
          co_return;
        }));
  }
  SECTION("between two reads") {
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto in =
              conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(100, Then::HANG, 10'000));
          CountdownReply reply;
          const bool read = co_await in.read(reply);
          CHECK(read);
        }));
  }
  SECTION("while a read is pending, whose reply goes, too") {
    int ended = 0;
    const bool arrives = GENERATE(false, true);
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto in =
              conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(arrives ? 5 : 0, Then::HANG));
          auto reply = std::make_unique<CountdownReply>();
          in.async_read(*reply, asio::bind_executor(f.io, [&](bool ok) { ended += ok ? 100 : 1; }));
          if (arrives) co_await f.until_open(1);  // perhaps the reply waits for its handler now
          co_return;
        }));
    run(f.io, [&]() -> asio::awaitable<void> {
      while (ended < streams) (void)co_await f.count_streams();
    }());
    CHECK((ended == streams || arrives));
  }
  SECTION("while a write is pending, whose request goes, too") {
    int ended = 0;
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto reply = std::make_unique<CollectReply>();
          auto out = conn_grpc::open(*f.stub, &methods::Collect, context.get(), *reply);
          (void)co_await out.write(collected(1, Then::HANG));
          auto request = std::make_unique<CollectRequest>(collected(2, Then::GO_ON, too_much));
          out.async_write(*request, asio::bind_executor(f.io, [&](bool ok) { ended += ok ? 100 : 1; }));
          co_await f.until_open(1);
        }));
    run(f.io, [&]() -> asio::awaitable<void> {
      while (ended < streams) (void)co_await f.count_streams();
    }());
    CHECK(ended == streams);
  }
  SECTION("before the end of the requests") {
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto reply = std::make_unique<CollectReply>();
          auto out = conn_grpc::open(*f.stub, &methods::Collect, context.get(), *reply);
          (void)co_await out.write(collected(1));
        }));
  }
  SECTION("before finish(), when the server has answered") {
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto reply = std::make_unique<CollectReply>();
          auto out = conn_grpc::open(*f.stub, &methods::Collect, context.get(), *reply);
          (void)co_await out.write(collected(1));
          (void)co_await out.writes_done();
        }));
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto in = conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(1));
          CountdownReply reply;
          while (co_await in.read(reply)) {
          }
        }));
  }
  SECTION("while finish() is pending") {
    int ended = 0;
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto reply = std::make_unique<CollectReply>();
          auto out = conn_grpc::open(*f.stub, &methods::Collect, context.get(), *reply);
          (void)co_await out.write(collected(1, Then::HANG));
          out.async_finish(asio::bind_executor(f.io, [&](const grpc::Status& status) {
            ended += status.error_code() == grpc::StatusCode::CANCELLED ? 1 : 100;
          }));
        }));
    run(f.io, [&]() -> asio::awaitable<void> {
      while (ended < streams) (void)co_await f.count_streams();
    }());
    CHECK(ended == streams);
  }
  SECTION("while a read and a write are pending") {
    int ended = 0;
    run(f.io, repeat([&](either_context& context) -> asio::awaitable<void> {
          auto both = conn_grpc::open(*f.stub, &methods::Chat, context.get());
          auto reply = std::make_unique<ChatMessage>();
          auto end = asio::bind_executor(f.io, [&](bool ok) { ended += ok ? 1'000 : 1; });
          (void)co_await both.write(said("wait", Then::HANG));
          both.async_read(*reply, end);
          both.async_write(said(std::string(too_much, 'x')), end);
        }));
    run(f.io, [&]() -> asio::awaitable<void> {
      while (ended < 2 * streams) (void)co_await f.count_streams();
    }());
    CHECK(ended == 2 * streams);
  }
  SECTION("by another one that takes its place") {
    run(f.io, [&]() -> asio::awaitable<void> {
      either_context context(whose);
      either_context next(whose);
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(5, Then::HANG));
      in = conn_grpc::open(*f.stub, &methods::Countdown, next.get(), countdown_from(1));
      auto moved = std::move(in);
      CountdownReply reply;
      const bool read = co_await moved.read(reply);
      CHECK(read);
      CHECK(reply.number() == 1);
      const bool more = co_await moved.read(reply);
      CHECK_FALSE(more);
      const auto status = co_await moved.finish();
      CHECK(status.ok());
    }());
  }
}

TEST_CASE("a dropped stream may be the last owner of its gRPC channel", "[streams]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const auto address = "127.0.0.1:" + std::to_string(server.port());
  for (int i = 0; i < 20; ++i) {
    const auto stub = Greeter::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    auto in = conn_grpc::open(*stub, &methods::Countdown, std::make_unique<grpc::ClientContext>(),
                              countdown_from(5, Then::HANG));
    CountdownReply reply;
    CHECK(in.async_read(reply, asio::use_future).get());
  }
}

TEST_CASE("cancellation of each await cancels the RPC", "[streams]") {
  using namespace boost::asio::experimental::awaitable_operators;
  streams_fixture f;
  const auto type =
      GENERATE(asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total);
  bool waits = false;  // the operation to cancel is pending
  const auto cancels = [&](auto operation) -> asio::awaitable<void> {
    asio::cancellation_signal signal;
    bool ended = false;
    asio::co_spawn(f.io, std::move(operation),
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { ended = true; }));
    while (!waits) co_await asio::post(f.io, asio::use_awaitable);
    co_await f.until_open(1);
    CHECK_FALSE(ended);
    signal.emit(type);
    while (!ended) co_await asio::post(f.io, asio::use_awaitable);
    const int cancelled = co_await f.cancelled_when_all_have_ended();
    CHECK(cancelled == 1);
  };
  const auto all_types = []() -> asio::awaitable<void> {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_await asio::this_coro::throw_if_cancelled(false);
  };
  grpc::ClientContext context;
  SECTION("a read") {
    run(f.io, cancels([&]() -> asio::awaitable<void> {
          co_await all_types();
          auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(0, Then::HANG));
          CountdownReply reply;
          waits = true;
          const bool read = co_await in.read(reply);
          CHECK_FALSE(read);
          const auto status = co_await in.finish();
          CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
        }));
  }
  SECTION("a write") {
    run(f.io, cancels([&]() -> asio::awaitable<void> {
          co_await all_types();
          CollectReply reply;
          auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
          (void)co_await out.write(collected(1, Then::HANG));
          waits = true;
          const bool sent = co_await out.write(collected(2, Then::GO_ON, too_much));
          CHECK_FALSE(sent);
          const auto status = co_await out.finish();
          CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
        }));
  }
  SECTION("finish()") {
    run(f.io, cancels([&]() -> asio::awaitable<void> {
          co_await all_types();
          CollectReply reply;
          auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
          (void)co_await out.write(collected(1, Then::HANG));
          waits = true;
          const auto status = co_await out.finish();
          CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
        }));
  }
  SECTION("a timer that wins") {
    run(f.io, [&]() -> asio::awaitable<void> {
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(0, Then::HANG));
      CountdownReply reply;
      asio::steady_timer soon(f.io, 10ms);
      const auto first = co_await (in.read(reply) || soon.async_wait(asio::use_awaitable));
      CHECK(first.index() == 1);
      const auto status = co_await in.finish();
      CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
    }());
  }
}

TEST_CASE("the deadline of a context ends a stream", "[streams]") {
  streams_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20ms);
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(0, Then::HANG));
    CountdownReply reply;
    const bool read = co_await in.read(reply);
    CHECK_FALSE(read);
    const auto status = co_await in.finish();
    CHECK(status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  }());
}

TEST_CASE("an execution context may be destroyed while a stream's operation is pending", "[streams]") {
  streams_fixture f;
  const auto whose = GENERATE(owner::user, owner::stream);
  auto doomed = std::make_unique<asio::io_context>();
  const std::string pending = GENERATE("read", "write", "finish");
  CAPTURE(pending);
  bool resumed = false;
  const auto use = [&]() -> asio::awaitable<void> {
    either_context context(whose);
    if (pending == "read") {
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(0, Then::HANG));
      CountdownReply reply;
      (void)co_await in.read(reply);
    } else {
      CollectReply reply;
      auto out = conn_grpc::open(*f.stub, &methods::Collect, context.get(), reply);
      if (pending == "write") {
        (void)co_await out.write(collected(1, Then::HANG));
        (void)co_await out.write(collected(2, Then::GO_ON, too_much));
      } else {
        (void)co_await out.write(collected(1, Then::HANG));
        (void)co_await out.finish();
      }
    }
    resumed = true;
  };
  for (int i = 0; i < 5; ++i) asio::co_spawn(*doomed, use(), [](std::exception_ptr) {});
  if (GENERATE(false, true)) {
    const background runs(*doomed);
    run(f.io, f.until_open(5));
  } else {
    doomed->poll();
  }
  doomed.reset();
  CHECK_FALSE(resumed);
  run(f.io, [&]() -> asio::awaitable<void> { (void)co_await f.cancelled_when_all_have_ended(); }());
}

TEST_CASE("the context of a handler is destroyed while the stream lives on", "[streams]") {
  streams_fixture f;
  auto doomed = std::make_unique<asio::io_context>();
  const auto alive = std::make_shared<int>();
  grpc::ClientContext context;
  auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(0, Then::HANG));
  CountdownReply reply;
  in.async_read(reply, asio::bind_executor(*doomed, [alive](bool) { FAIL("called"); }));
  doomed.reset();
  CHECK(alive.use_count() == 1);
  const auto status = in.async_finish(asio::use_future).get();
  CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
}

TEST_CASE("a stream of a killed server ends, and its channel has been withdrawn", "[streams]") {
  streams_fixture f;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    const auto channel = *f.pool.try_get_channel();
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(5, Then::HANG));
    CountdownReply reply;
    for (int i = 0; i < 5; ++i) {
      const bool read = co_await in.read(reply);
      CHECK(read);
    }
    f.server.kill();
    const bool read = co_await in.read(reply);
    CHECK_FALSE(read);
    const auto status = co_await in.finish();
    CHECK(status.error_code() == grpc::StatusCode::UNAVAILABLE);
    const auto next = f.pool.try_get_channel();
    CHECK_FALSE((next && *next == channel));
  }());
}

TEST_CASE("drain() waits for streams", "[streams]") {
  using namespace boost::asio::experimental::awaitable_operators;
  streams_fixture f;
  bool finished = false;
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    CollectReply reply;
    auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
    const auto use = [&]() -> asio::awaitable<void> {
      while (f.pool.status().channels.front().state != conn_grpc::channel_state::draining)
        (void)co_await out.write(collected(1));
      const auto status = co_await out.finish();
      CHECK(status.ok());
      finished = true;
    };
    const auto drain = [&]() -> asio::awaitable<void> {
      co_await f.pool.drain(30s);
      CHECK(finished);
    };
    co_await (use() && drain());
  }());
}

TEST_CASE("a thousand streams that are dropped half-way leave nothing behind", "[streams]") {
  streams_fixture f;
  const auto whose = GENERATE(owner::user, owner::stream);
  const auto drop = [&](int streams) -> asio::awaitable<void> {
    for (int i = 0; i < streams; ++i) {
      either_context context(whose);
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context.get(), countdown_from(100, Then::HANG, 100));
      CountdownReply reply;
      const bool read = co_await in.read(reply);
      if (!read) FAIL("no reply");
    }
    (void)co_await f.cancelled_when_all_have_ended();
  };
  run(f.io, drop(200));
  const auto before = resident_kib();
  for (int i = 0; i < 4; ++i) run(f.io, drop(200));
  if (memory_is_measurable) CHECK(resident_kib() < before + 500);  // a stream has more than a kibibyte
}

TEST_CASE("streams take any token", "[streams]") {
  streams_fixture f;
  SECTION("use_future, without an executor") {
    grpc::ClientContext context;
    auto both = conn_grpc::open(*f.stub, &methods::Chat, context);
    ChatMessage message;
    auto read = both.async_read(message, asio::use_future);
    CHECK(both.async_write(said("future"), asio::use_future).get());
    CHECK(read.get());
    CHECK(message.text() == "future");
    CHECK(both.async_writes_done(asio::use_future).get());
    CHECK_FALSE(both.async_read(message, asio::use_future).get());
    CHECK(both.async_finish(asio::use_future).get().ok());
  }
  SECTION("callbacks on a strand, which can only be moved") {
    grpc::ClientContext context;
    const auto strand = asio::make_strand(f.io);
    auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(3));
    CountdownReply reply;
    int replies = 0;
    std::optional<grpc::Status> status;
    std::function<void()> next = [&] {
      in.async_read(reply, asio::bind_executor(strand, [&, only = std::make_unique<int>()](bool ok) {
                      CHECK(strand.running_in_this_thread());
                      if (ok) return ++replies, next();
                      in.async_finish(asio::bind_executor(strand, [&](grpc::Status ended) {
                        status = std::move(ended);
                        f.seen.changed.notify();
                      }));
                    }));
    };
    next();
    CHECK(replies == 0);
    run(f.io, f.seen.until([&] { return status.has_value(); }));
    CHECK(status->ok());
    CHECK(replies == 3);
  }
  SECTION("as_tuple, and deferred by default") {
    run(f.io, [&]() -> asio::awaitable<void> {
      grpc::ClientContext context;
      CollectReply reply;
      auto out = conn_grpc::open(*f.stub, &methods::Collect, context, reply);
      const auto request = collected(42);
      const auto [sent] = co_await out.async_write(request, asio::as_tuple(asio::use_awaitable));
      CHECK(sent);
      auto deferred = out.async_write(request);
      const bool sent_too = co_await std::move(deferred);
      CHECK(sent_too);
      const auto status = co_await out.async_finish();
      CHECK(status.ok());
      CHECK(reply.sum() == 84);
    }());
  }
  SECTION("deferred, initiated when the stream has been dropped") {
    CountdownReply reply;
    auto read = [&] {
      grpc::ClientContext context;
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(3));
      return in.async_read(reply);
    }();
    CHECK_FALSE(std::move(read)(asio::use_future).get());
  }
  SECTION("a coroutine of another executor type") {
    using strand_type = asio::strand<asio::io_context::executor_type>;
    bool ended = false;
    const auto use = [&]() -> asio::awaitable<void, strand_type> {
      grpc::ClientContext context;
      auto in = conn_grpc::open(*f.stub, &methods::Countdown, context, countdown_from(3));
      CountdownReply reply;
      int replies = 0;
      while (co_await in.template read<strand_type>(reply)) ++replies;
      CHECK(replies == 3);
      const auto status = co_await in.template finish<strand_type>();
      CHECK(status.ok());
      ended = true;
      f.seen.changed.notify();
    };
    asio::co_spawn(asio::make_strand(f.io), use(), asio::detached);
    run(f.io, f.seen.until([&] { return ended; }));
  }
}

TEST_CASE("finish() cancels the RPC when a reply that gRPC has read ahead cannot be parsed", "[streams]") {
  streams_fixture f;
  custom_stub<fragile_reply> stub(*f.pool.try_get_channel());
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    auto in = conn_grpc::open(stub, &custom_stub<fragile_reply>::async_methods::Countdown, context,
                              countdown_from(fragile_reply::broken_number + 2, Then::HANG));
    fragile_reply reply;
    const bool read = co_await in.read(reply);
    CHECK(read);
    for (int i = 0; i < 20; ++i) (void)co_await f.count_streams();  // meanwhile gRPC reads on
    const auto status = co_await in.finish();
    CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
  }());
}

TEST_CASE("a dropped stream does not write to a reply, whatever thread its handler runs on", "[streams]") {
  streams_fixture f;
  custom_stub<slow_reply> stub(*f.pool.try_get_channel());
  grpc::ClientContext context;
  slow_reply reply;
  {
    auto in = conn_grpc::open(stub, &custom_stub<slow_reply>::async_methods::Countdown, context,
                              countdown_from(1, Then::HANG));
    in.async_read(reply, [](bool) {});  // Asio's system executor
    reply.begins.get_future().wait();
  }
  CHECK_FALSE(reply.is_written);
}

TEST_CASE("a stream keeps one large request that it has sent", "[streams]") {
  streams_fixture f;
  custom_stub<counted_request> stub(*f.pool.try_get_channel());
  run(f.io, [&]() -> asio::awaitable<void> {
    grpc::ClientContext context;
    CollectReply reply;
    auto out = conn_grpc::open(stub, &custom_stub<counted_request>::async_methods::Collect, context, reply);
    const auto payload = std::make_shared<std::string>(100'000, 'x');
    for (int i = 0; i < 40; ++i) {
      counted_request request{payload};  // a temporary here is destroyed twice by g++ 12
      const bool sent = co_await out.write(std::move(request));
      CHECK(sent);
      CHECK(payload.use_count() <= 2);
    }
    const auto status = co_await out.finish();
    CHECK(status.ok());
    CHECK(reply.count() == 40);
  }());
}
