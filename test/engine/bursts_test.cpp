// SPDX-License-Identifier: BSL-1.0
// Streams in the only thread: messages that follow one another are sent together, and the order of
// the handlers.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/streams.hpp>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "engine/engine_fixture.hpp"

namespace {

thread_local int sends = 0;  // of this thread

}  // namespace

// Replaces the function of the C library, also for the engine in the library.
extern "C" ssize_t sendmsg(int descriptor, const msghdr* message, int flags) {
  ++sends;
  return ::syscall(SYS_sendmsg, descriptor, message, flags);
}

using namespace conn_grpc::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using conn_grpc::event_engine_scope;
using chat_methods = class Greeter::Stub::async;

namespace {

ChatMessage numbered(int number) {
  ChatMessage message;
  message.set_text(std::to_string(number));
  return message;
}

/// A server, and its client in a scope of this thread.
struct chat_fixture {
  const server_process server{greeter_server(), "127.0.0.1:0"};
  asio::io_context io;
  const event_engine_scope scope{io};
  const std::unique_ptr<Greeter::Stub> stub =
      Greeter::NewStub(bare_channel("127.0.0.1:" + std::to_string(server.port())));

  /// Runs the context until the coroutine has ended, which begins with a stream that is connected.
  template <class Body>
  void run(Body body) {
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          auto chat = conn_grpc::open(*stub, &chat_methods::Chat, std::make_unique<grpc::ClientContext>());
          ChatMessage answer;
          (void)co_await chat.write(numbered(-1));
          (void)co_await chat.read(answer);
          co_await body(chat);
        },
        asio::detached);
    io.run();
  }
};

using chat_stream = conn_grpc::bidi_stream<ChatMessage, ChatMessage>;

}  // namespace

TEST_CASE("messages that a coroutine writes one after the other leave together", "[engine][bursts]") {
  chat_fixture f;
  constexpr int messages = 500;
  int before = 0, after_first = 0, after_all = 0;
  f.run([&](chat_stream& chat) -> asio::awaitable<void> {
    ChatMessage answer;
    co_await asio::post(asio::use_awaitable);  // leaves gRPC's turn, which might put the write off
    before = sends;
    auto first = chat.async_write(numbered(0), asio::use_future);
    after_first = sends;
    for (int i = 1; i < messages; ++i) (void)co_await chat.write(numbered(i));
    for (int i = 0; i < messages; ++i) {
      const bool more = co_await chat.read(answer);
      CHECK(more);
      CHECK(answer.text() == std::to_string(i));
    }
    after_all = sends;
    (void)co_await chat.writes_done();
    (void)co_await chat.read(answer);
    const auto status = co_await chat.finish();
    CHECK(status.ok());
  });
  CHECK(after_first == before + 1);
  CHECK(after_all - after_first < messages / 2);
}

TEST_CASE("messages do not wait for long when the context is busy", "[engine][bursts]") {
  chat_fixture f;
  constexpr int messages = 100;
  bool ended = false;
  // A handler that takes twice as long as a message may be kept, and posts itself again.
  const std::function<void()> busy = [&] {
    const auto end = std::chrono::steady_clock::now() + 200us;
    while (std::chrono::steady_clock::now() < end) {
    }
    if (!ended) asio::post(f.io, busy);
  };
  int before = 0, after = 0;
  f.run([&](chat_stream& chat) -> asio::awaitable<void> {
    asio::post(f.io, busy);
    before = sends;
    for (int i = 0; i < messages; ++i) (void)co_await chat.write(numbered(i));
    after = sends;
    ended = true;
  });
  CHECK(after - before > messages / 4);
}

TEST_CASE("messages of several streams arrive in order when several threads run the context", "[engine][bursts]") {
  chat_fixture f;
  const background threads(f.io, 3);
  constexpr int streams = 4, messages = 500;
  const auto exchange = [&]() -> asio::awaitable<bool> {
    auto chat = conn_grpc::open(*f.stub, &chat_methods::Chat, std::make_unique<grpc::ClientContext>());
    for (int i = 0; i < messages; ++i)
      if (!co_await chat.write(numbered(i))) co_return false;
    ChatMessage answer;
    for (int i = 0; i < messages; ++i)
      if (!co_await chat.read(answer) || answer.text() != std::to_string(i)) co_return false;
    (void)co_await chat.writes_done();
    if (co_await chat.read(answer)) co_return false;
    const auto status = co_await chat.finish();
    co_return status.ok();
  };
  std::vector<std::future<bool>> exchanged;
  for (int i = 0; i < streams; ++i)
    exchanged.push_back(asio::co_spawn(asio::make_strand(f.io), exchange(), asio::use_future));
  for (auto& each : exchanged) {
    REQUIRE(each.wait_for(60s) == std::future_status::ready);
    CHECK(each.get());
  }
}

TEST_CASE("messages that are kept leave when the loop ends that should look at them", "[engine][bursts]") {
  const bool context_goes = GENERATE(true, false);
  const server_process server(greeter_server(), "127.0.0.1:0");
  asio::io_context sockets_io;
  std::optional<asio::io_context> callbacks_io(std::in_place);
  const event_engine_scope sockets(sockets_io, conn_grpc::event_engine_use::only_sockets);
  std::optional<event_engine_scope> scope(*callbacks_io);
  grpc::ChannelArguments arguments;
  sockets.add_to(arguments);
  const auto stub = Greeter::NewStub(bare_channel("127.0.0.1:" + std::to_string(server.port()), arguments));
  const background sockets_thread(sockets_io);
  auto chat = conn_grpc::open(*stub, &chat_methods::Chat, std::make_unique<grpc::ClientContext>());
  ChatMessage answer;
  (void)chat.async_write(numbered(-1), asio::use_future);
  auto connected = chat.async_read(answer, asio::use_future);
  wait_until([&] {  // for the connection, and the end of the burst
    callbacks_io->restart();
    return callbacks_io->poll() == 0 && connected.wait_for(0s) == std::future_status::ready;
  });

  const int before = sends;
  (void)chat.async_write(numbered(0), asio::use_future);
  callbacks_io->restart();
  CHECK(callbacks_io->poll_one() == 1);  // gRPC reports that it has been written
  (void)chat.async_write(numbered(1), asio::use_future);
  CHECK(sends == before + 1);
  if (context_goes)
    callbacks_io.reset();
  else
    scope.reset();
  for (int i = 0; i < 2; ++i) {
    auto read = chat.async_read(answer, asio::use_future);
    REQUIRE(read.wait_for(30s) == std::future_status::ready);
    CHECK(read.get());
    CHECK(answer.text() == std::to_string(i));
  }
}

// The handler of the first read runs inside of a turn. It begins the second read and `finish`.
TEST_CASE("finish() completes after a read whose reply had arrived before", "[engine]") {
  chat_fixture f;
  f.run([&](chat_stream&) -> asio::awaitable<void> {
    CountdownRequest request;
    request.set_from(3);
    request.set_then(Then::HANG);
    for (int i = 0; i < 20; ++i) {
      auto numbers =
          conn_grpc::open(*f.stub, &chat_methods::Countdown, std::make_unique<grpc::ClientContext>(), request);
      CountdownReply reply;
      (void)co_await numbers.read(reply);
      std::optional<bool> second;
      numbers.async_read(reply, asio::bind_executor(f.io, [&](bool ok) { second = ok; }));
      (void)co_await numbers.finish();
      CHECK(second.has_value());
    }
  });
}
