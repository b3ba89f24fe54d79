// SPDX-License-Identifier: BSL-1.0
// client<Service>: one line per RPC, with leases, a deadline and safe retries.
#include <grpcpp/create_channel.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/client.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/telemetry.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "greeter.grpc.pb.h"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/observer.hpp"
#include "support/server_process.hpp"
#include "support/sockets.hpp"
#include "support/temporary_folder.hpp"

using namespace conn_grpc::test;
using conn_grpc::retry;
using grpc::StatusCode;

namespace {

constexpr conn_grpc::unary_method<class Greeter::Stub::async, HelloRequest, HelloReply> say_hello =
    &Greeter::Stub::async::SayHello;

HelloRequest hello(const std::string& name, std::chrono::milliseconds delay = 0ms) {
  HelloRequest request;
  request.set_name(name);
  request.set_delay_ms(static_cast<int>(delay.count()));
  return request;
}

/// A pool with a channel to each of some servers.
struct served_client {
  explicit served_client(std::size_t servers = 1, conn_grpc::pool_options options = {},
                         const std::vector<std::string>& server_options = {}) {
    for (std::size_t i = 0; i < servers; ++i) {
      ports.push_back(std::make_unique<reserved_port>());
      processes.push_back(std::make_unique<server_process>(greeter_server(), ports[i]->address(), server_options));
      options.addresses.push_back(ports[i]->address());
    }
    options.channel = seen.watch(options.channel);
    pool.emplace(io, options);
    pool->async_run([](conn_grpc::error_code) {});
    run(io, seen.until([&] { return pool->status().current_size == servers; }));
    greeter.emplace(*pool);
  }

  [[nodiscard]] std::size_t in_flight() const {
    std::size_t sum = 0;
    for (const auto& channel : pool->status().channels) sum += channel.in_flight;
    return sum;
  }

  std::vector<std::unique_ptr<reserved_port>> ports;
  std::vector<std::unique_ptr<server_process>> processes;
  asio::io_context io;
  observer seen;
  std::optional<conn_grpc::pool> pool;
  std::optional<conn_grpc::client<Greeter>> greeter;
};

}  // namespace

TEST_CASE("a call makes an RPC over a leased channel", "[client]") {
  served_client f(2);
  run(f.io, [&]() -> asio::awaitable<void> {
    std::set<std::string> peers;
    for (int i = 0; i < 4; ++i) {
      HelloReply reply;
      const auto request = hello("Ada");
      const auto status = co_await f.greeter->call(&Greeter::Stub::async::SayHello, request, reply, {.timeout = 20s});
      CHECK(status.ok());
      CHECK(reply.message() == "Hello Ada");
      peers.insert(reply.peer());
    }
    CHECK(peers.size() == 2);
  }());
  CHECK(f.in_flight() == 0);
  const auto channels = f.pool->status().channels;
  CHECK(channels[0].served == 2);
  CHECK(channels[1].served == 2);
}

TEST_CASE("a client of a channel, and of a channel with a mock", "[client]") {
  const server_process server(greeter_server(), "127.0.0.1:0");
  const auto address = "127.0.0.1:" + std::to_string(server.port());
  asio::io_context io;
  conn_grpc::channel_options options{.address = address};
  if (GENERATE(true, false))
    options.mock = [channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials())] { return channel; };
  conn_grpc::channel channel(io, options);
  if (!options.mock) channel.async_run([](conn_grpc::error_code) {});
  const conn_grpc::client<Greeter> greeter(channel);
  run(io, [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("Ada");
    const auto status = co_await greeter.call(say_hello, request, reply, {.timeout = 20s});
    CHECK(status.ok());
    CHECK(reply.message() == "Hello Ada");
  }());
}

TEST_CASE("metadata and prepare reach each attempt", "[client]") {
  served_client f;
  int prepared = 0;
  run(f.io, [&]() -> asio::awaitable<void> {
    // A variable: g++ 12 does not compile nested braces inside of a co_await expression.
    const conn_grpc::call_options options{
        .timeout = 20s,
        .metadata = {{"first-key", "one long value after another"}, {"second-key", "another long value after this"}},
        .prepare = [&](grpc::ClientContext& context) { ++prepared, context.set_authority("prepared.example"); }};
    HelloReply reply;
    const auto request = hello("Ada");
    const auto status = co_await f.greeter->call(say_hello, request, reply, options);
    CHECK(status.ok());
    CHECK(reply.authority() == "prepared.example");
  }());
  CHECK(prepared == 1);
}

TEST_CASE("streams of a client hold their lease until they have ended", "[client]") {
  served_client f(2);
  run(f.io, [&]() -> asio::awaitable<void> {
    {
      CountdownRequest request;
      request.set_from(3);
      auto in = co_await f.greeter->open(&Greeter::Stub::async::Countdown, request, {.timeout = 20s});
      CHECK(f.in_flight() == 1);
      CountdownReply reply;
      int count = 0;
      while (co_await in.read(reply)) ++count;
      CHECK(count == 3);
      const auto status = co_await in.finish();
      CHECK(status.ok());
      CHECK(f.in_flight() == 0);
    }
    {
      CollectReply reply;
      auto out = co_await f.greeter->open(&Greeter::Stub::async::Collect, reply, {.timeout = 20s});
      CollectRequest request;
      request.set_number(7);
      const bool sent = co_await out.write(request);
      CHECK(sent);
      const auto status = co_await out.finish();
      CHECK(status.ok());
      CHECK(reply.sum() == 7);
    }
    {
      auto both = co_await f.greeter->open(&Greeter::Stub::async::Chat, {.timeout = 20s});
      ChatMessage message;
      message.set_text("hello");
      const bool sent = co_await both.write(message);
      CHECK(sent);
      message.clear_text();
      const bool answered = co_await both.read(message);
      CHECK(answered);
      CHECK(message.text() == "hello");
      CHECK(f.in_flight() == 1);
    }  // dropped half-way
    co_await observer::poll_until([&] { return f.in_flight() == 0; });
  }());
}

TEST_CASE("a stream without a channel is false, and its status says why", "[client]") {
  asio::io_context io;
  conn_grpc::pool pool(io, {.name = "greeter", .channel = {.address = "127.0.0.1:1"}});
  const conn_grpc::client<Greeter> greeter(pool);
  run(io, [&]() -> asio::awaitable<void> {
    const CountdownRequest request;
    auto in = co_await greeter.open(&Greeter::Stub::async::Countdown, request);
    CountdownReply reply;
    const bool read = co_await in.read(reply);
    CHECK_FALSE(read);
    const auto status = co_await in.finish();
    CHECK(status.error_code() == StatusCode::UNAVAILABLE);
    CHECK_THAT(status.error_message(), has_text("conn_grpc pool greeter"));
    auto both = co_await greeter.open(&Greeter::Stub::async::Chat);
    const bool sent = co_await both.write({});
    CHECK_FALSE(sent);
  }());
}

TEST_CASE("a call without a channel ends with a status, not with an exception", "[client]") {
  const reserved_port nobody;
  asio::io_context io;
  observer seen;
  conn_grpc::pool pool(io, {.name = "greeter", .channel = seen.watch({.address = nobody.address()})});
  const conn_grpc::client<Greeter> greeter(pool);
  run(io, [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("Ada");
    auto status = co_await greeter.call(say_hello, request, reply, {.timeout = 20s});
    CHECK(status.error_code() == StatusCode::UNAVAILABLE);
    CHECK_THAT(status.error_message(), has_text("conn_grpc pool greeter"));
    pool.async_run([](conn_grpc::error_code) {});
    co_await seen.until([&] { return seen.waits > 0; });
    status = co_await greeter.call(say_hello, request, reply);
    CHECK(status.error_code() == StatusCode::UNAVAILABLE);
    CHECK_THAT(status.error_message(), has_text("Connection refused"));
    status = co_await greeter.call(say_hello, request, reply, {.timeout = 20ms});
    CHECK(status.error_code() == StatusCode::DEADLINE_EXCEEDED);
    CHECK_THAT(status.error_message(), has_text("within 20 ms"));
    status = co_await greeter.call(say_hello, request, reply, {.timeout = -1ms});
    CHECK(status.error_code() == StatusCode::DEADLINE_EXCEEDED);
    pool.stop();
    status = co_await greeter.call(say_hello, request, reply, {.timeout = 20s});
    CHECK(status.error_code() == StatusCode::UNAVAILABLE);
  }());
}

TEST_CASE("a timeout without an end, and a pool that is to have no channels", "[client]") {
  served_client f;
  run(f.io, [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("Ada");
    const conn_grpc::call_options endless{.timeout = (std::chrono::milliseconds::max)()};
    auto status = co_await f.greeter->call(say_hello, request, reply, endless);
    CHECK(status.ok());
    co_await f.pool->resize(0);
    status = co_await f.greeter->call(say_hello, request, reply, endless);
    CHECK(status.error_code() == StatusCode::UNAVAILABLE);
  }());
}

TEST_CASE("the timeout is the deadline of the RPC", "[client]") {
  served_client f;
  run(f.io, [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("slow", 20s);
    const auto status = co_await f.greeter->call(say_hello, request, reply, {.timeout = 50ms});
    CHECK(status.error_code() == StatusCode::DEADLINE_EXCEEDED);
  }());
  CHECK(f.in_flight() == 0);
}

TEST_CASE("cancellation ends a call, while it waits for room and while the RPC is in flight", "[client]") {
  served_client f(1, {.max_in_flight = 1});
  std::vector<grpc::Status> ended;
  std::vector<asio::cancellation_signal> signals(2);
  const auto call = [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("slow", 20s);
    ended.push_back(co_await f.greeter->call(say_hello, request, reply));
    f.seen.changed.notify();
  };
  for (auto& signal : signals)
    asio::co_spawn(f.io, call(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
  run(f.io, [&]() -> asio::awaitable<void> {
    while (f.in_flight() < 1 || f.pool->status().waiting < 1) co_await asio::post(asio::deferred);
    signals[1].emit(asio::cancellation_type::terminal);
    co_await f.seen.until([&] { return ended.size() == 1; });
    CHECK(f.in_flight() == 1);
    signals[0].emit(asio::cancellation_type::terminal);
    co_await f.seen.until([&] { return ended.size() == 2; });
  }());
  for (const auto& status : ended) CHECK(status.error_code() == StatusCode::CANCELLED);
  CHECK(f.in_flight() == 0);
}

TEST_CASE("an RPC that no server has executed is made again, to another server", "[client]") {
  served_client f(2);
  run(f.io, [&]() -> asio::awaitable<void> {
    const auto request = hello("Ada");
    // The channel to the server that is gone is picked before its loss is known.
    for (int round = 0; round < 5; ++round) {
      f.processes[0]->kill();
      for (int i = 0; i < 10; ++i) {
        HelloReply reply;
        const auto status = co_await f.greeter->call(say_hello, request, reply, {.timeout = 20s});
        if (!status.ok()) CHECK_THAT(status.error_message(), !has_text("failed to connect"));
      }
      f.processes[0] = std::make_unique<server_process>(greeter_server(), f.ports[0]->address());
      co_await f.seen.until([&] { return f.pool->status().current_size == 2; });
    }
  }());
  CHECK(f.in_flight() == 0);
}

TEST_CASE("what a server may have executed is made again only if the caller says so", "[client]") {
  served_client f(1);
  const temporary_folder folder;
  const auto words = GENERATE("busy", "failed to connect to all addresses");  // a proxy may answer with gRPC's words
  auto request = hello("Ada");
  request.set_fail_with(words);
  run(f.io, [&]() -> asio::awaitable<void> {
    for (const auto& [retries, attempts] :
         std::map<retry, std::uint64_t>{{retry::never, 1}, {retry::unsent, 1}, {retry::idempotent, 3}}) {
      const auto before = f.pool->status().channels[0].served;
      HelloReply reply;
      const auto status = co_await f.greeter->call(say_hello, request, reply, {.timeout = 20s, .retries = retries});
      CHECK(status.error_code() == StatusCode::UNAVAILABLE);
      CHECK(status.error_message() == words);
      CHECK(f.pool->status().channels[0].served - before == attempts);
    }
  }());
}

namespace {

/// Callers that make one call after the other while servers are killed and restarted.
struct restarted_servers : served_client {
  explicit restarted_servers(retry repeated, const std::vector<std::string>& server_options = {})
      : served_client(3, {}, server_options), options_(server_options), retries_(repeated) {
    for (int i = 0; i < 50; ++i) asio::co_spawn(io, call(), asio::detached);
  }

  asio::awaitable<void> restart(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const auto begun = next;
      while (pool->status().current_size < 3 || next < begun + 300) co_await asio::post(asio::deferred);
      const auto which = static_cast<std::size_t>(round % 3);
      if (round % 2 == 0)
        processes[which]->kill();
      else
        processes[which]->shut_down();
      processes[which] = std::make_unique<server_process>(greeter_server(), ports[which]->address(), options_);
    }
    stopping = true;
    co_await seen.until([&] { return running == 0; });
  }

  std::uint64_t next = 0;
  std::map<std::string, int> failures;  // by the words

 private:
  asio::awaitable<void> call() {
    ++running;
    while (!stopping) {
      HelloReply reply;
      const auto request = hello(std::to_string(next++), 1ms);
      const conn_grpc::call_options options{.timeout = 20s, .retries = retries_};
      const auto status = co_await greeter->call(say_hello, request, reply, options);
      if (!status.ok()) ++failures[status.error_message()];
    }
    --running;
    seen.changed.notify();
  }

  const std::vector<std::string> options_;
  const retry retries_;
  int running = 0;
  bool stopping = false;
};

}  // namespace

TEST_CASE("servers that are killed and restarted execute no RPC twice", "[client]") {
  const temporary_folder folder;
  const auto record = (folder.path() / "record").string();
  restarted_servers f(retry::unsent, {"--record", record});
  run(f.io, f.restart(6));
  std::map<std::string, int> executed;
  std::ifstream lines(record);
  for (std::string line; std::getline(lines, line);) ++executed[line];
  CHECK(executed.size() > 1'000);
  for (const auto& [name, times] : executed)
    if (times > 1) FAIL_CHECK(name << " was executed " << times << " times");
  for (const auto& [words, times] : f.failures) CHECK_THAT(words, !has_text("failed to connect"));
  CHECK(f.in_flight() == 0);
}

TEST_CASE("no call of an idempotent method fails while servers are killed and restarted", "[client]") {
  restarted_servers f(retry::idempotent);
  run(f.io, f.restart(6));
  CHECK(f.next > 1'000);
  CHECK(f.failures == std::map<std::string, int>());
  CHECK(f.in_flight() == 0);
}

namespace {

/// The calls that telemetry reported.
class recorded_calls {
 public:
  struct call {
    explicit call(const conn_grpc::telemetry_event& e)
        : error(e.error),
          channel_name(e.channel_name),
          pool_name(e.pool_name),
          address(e.address),
          method(e.method),
          status_code(e.status_code),
          attempts(e.attempts),
          duration(e.duration),
          waited(e.waited),
          thread(std::this_thread::get_id()) {}

    std::string error, channel_name, pool_name, address, method;
    StatusCode status_code;
    int attempts;
    std::chrono::nanoseconds duration, waited;
    std::thread::id thread;
  };

  recorded_calls() {
    source->attach("record", conn_grpc::event::call_ended, [kept = kept_](const conn_grpc::telemetry_event& e) {
      const std::lock_guard lock(kept->mutex);
      kept->calls.emplace_back(e);
    });
  }

  [[nodiscard]] std::size_t count() const {
    const std::lock_guard lock(kept_->mutex);
    return kept_->calls.size();
  }
  /// The only one since the last time.
  [[nodiscard]] call only() {
    const std::lock_guard lock(kept_->mutex);
    REQUIRE(kept_->calls.size() == 1);
    auto taken = std::move(kept_->calls.front());
    kept_->calls.clear();
    return taken;
  }

  const std::shared_ptr<conn_grpc::telemetry> source = std::make_shared<conn_grpc::telemetry>();

 private:
  struct shared {
    std::mutex mutex;
    std::vector<call> calls;
  };
  const std::shared_ptr<shared> kept_ = std::make_shared<shared>();
};

conn_grpc::pool_options recorded(const recorded_calls& calls, std::size_t max_in_flight = 0) {
  conn_grpc::pool_options options{.name = "greeter", .max_in_flight = max_in_flight};
  options.channel.telemetry = calls.source;
  return options;
}

/// A service that was written by hand. Its methods must not be called for their names.
struct handmade {
  struct async {
    void Hello(grpc::ClientContext*, const HelloRequest*, HelloReply*, std::function<void(grpc::Status)>) {
      throw std::logic_error("called");
    }
  };
};

}  // namespace

TEST_CASE("a call is reported with its method, channel, status, attempts and times", "[client]") {
  recorded_calls calls;
  served_client f(1, recorded(calls));
  auto request = hello("Ada");
  const auto call = [&](const conn_grpc::call_options& options) {
    run(f.io, [&]() -> asio::awaitable<void> {
      HelloReply reply;
      (void)co_await f.greeter->call(say_hello, request, reply, options);
    }());
    return calls.only();
  };
  const auto good = call({.timeout = 20s});
  CHECK(good.method == "/conn_grpc.test.Greeter/SayHello");
  CHECK(good.pool_name == "greeter");
  CHECK(good.channel_name == "greeter/" + f.ports[0]->address() + "/0");
  CHECK(good.address == f.ports[0]->address());
  CHECK(good.status_code == StatusCode::OK);
  CHECK(good.error.empty());
  CHECK(good.attempts == 1);
  CHECK(good.duration > 0ns);
  CHECK(good.waited == 0ns);
  CHECK(good.thread == std::this_thread::get_id());

  request.set_fail_with("busy");
  const auto failed = call({.timeout = 20s, .retries = retry::idempotent});
  CHECK(failed.status_code == StatusCode::UNAVAILABLE);
  CHECK(failed.error == "busy");
  CHECK(failed.attempts == 3);
  CHECK(failed.address == f.ports[0]->address());
  CHECK(failed.duration > 0ns);
  CHECK(failed.waited == 0ns);

  const auto late = call({.timeout = -1ms});
  CHECK(late.status_code == StatusCode::DEADLINE_EXCEEDED);
  CHECK(late.attempts == 0);

  CHECK(calls.source->detach("record"));
  run(f.io, [&]() -> asio::awaitable<void> {
    HelloReply reply;
    (void)co_await f.greeter->call(say_hello, request, reply);
  }());
  CHECK(calls.count() == 0);
}

TEST_CASE("a call that throws is reported with the text of the exception", "[client]") {
  recorded_calls calls;
  served_client f(1, recorded(calls));
  const conn_grpc::call_options options{
      .timeout = 20s, .prepare = [](grpc::ClientContext&) { throw std::runtime_error("unprepared"); }};
  const bool is_stream = GENERATE(true, false);
  CHECK_THROWS_WITH(run(f.io,
                        [&]() -> asio::awaitable<void> {
                          HelloReply reply;
                          const auto request = hello("Ada");
                          if (is_stream)
                            (void)co_await f.greeter->open(&Greeter::Stub::async::Chat, options);
                          else
                            (void)co_await f.greeter->call(say_hello, request, reply, options);
                        }()),
                    "unprepared");
  const auto thrown = calls.only();
  CHECK(thrown.status_code == StatusCode::UNKNOWN);
  CHECK(thrown.error == "unprepared");
  CHECK(thrown.attempts == 0);
  CHECK(thrown.address.empty());
}

TEST_CASE("a call that is cancelled, and a call whose coroutine is destroyed, are reported", "[client]") {
  recorded_calls calls;
  served_client f(1, recorded(calls, 1));
  const auto call = [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("slow", 20s);
    (void)co_await f.greeter->call(say_hello, request, reply);
    f.seen.changed.notify();
  };
  auto abandoned = std::make_unique<asio::io_context>();
  asio::co_spawn(*abandoned, call(), asio::detached);
  abandoned->poll();
  CHECK(f.in_flight() == 1);
  asio::cancellation_signal signal;
  asio::co_spawn(f.io, call(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
  run(f.io, [&]() -> asio::awaitable<void> {
    while (f.pool->status().waiting < 1) co_await asio::post(asio::deferred);
    signal.emit(asio::cancellation_type::terminal);
    co_await f.seen.until([&] { return calls.count() == 1; });
  }());
  const auto cancelled = calls.only();
  CHECK(cancelled.status_code == StatusCode::CANCELLED);
  CHECK(cancelled.error == "the call was cancelled");
  CHECK(cancelled.attempts == 0);
  CHECK(cancelled.address.empty());
  CHECK(cancelled.channel_name.empty());
  CHECK(cancelled.waited > 0ns);
  CHECK(cancelled.waited <= cancelled.duration);

  abandoned.reset();
  const auto destroyed = calls.only();
  CHECK(destroyed.status_code == StatusCode::CANCELLED);
  CHECK(destroyed.error == "the call was abandoned");
  CHECK(destroyed.attempts == 1);
  CHECK(destroyed.address == f.ports[0]->address());
}

TEST_CASE("the event of a call has the method's name, with and without a channel", "[client]") {
  recorded_calls calls;
  std::optional<served_client> f;
  asio::io_context nowhere;
  std::optional<conn_grpc::channel> unconnected;
  const bool is_connected = GENERATE(true, false);
  if (is_connected)
    f.emplace(1, recorded(calls));
  else
    unconnected.emplace(
        nowhere, conn_grpc::channel_options{.name = "single", .address = "127.0.0.1:1", .telemetry = calls.source});
  const auto greeter = is_connected ? *f->greeter : conn_grpc::client<Greeter>(*unconnected);
  run(is_connected ? f->io : nowhere, [&]() -> asio::awaitable<void> {
    const auto check = [&](const std::string& method) {
      const auto call = calls.only();
      CHECK(call.method == "/conn_grpc.test.Greeter/" + method);
      CHECK(call.status_code == (is_connected ? StatusCode::OK : StatusCode::UNAVAILABLE));
      CHECK(call.attempts == (is_connected ? 1 : 0));
      CHECK(call.address == (is_connected ? f->ports[0]->address() : ""));
      CHECK(call.pool_name == (is_connected ? "greeter" : ""));
      CHECK(call.channel_name == (is_connected ? "greeter/" + f->ports[0]->address() + "/0" : "single"));
      CHECK(call.error.empty() == is_connected);
      CHECK(call.thread == std::this_thread::get_id());
    };
    const auto reported = [&] { return calls.count() == 1; };
    {
      HelloReply reply;
      const auto request = hello("Ada");
      (void)co_await greeter.call(say_hello, request, reply);
      check("SayHello");
    }
    {
      CountStreamsRequest request;
      StreamCounts reply;
      (void)co_await greeter.call(&Greeter::Stub::async::CountStreams, request, reply);
      check("CountStreams");
    }
    {
      CountdownRequest request;
      request.set_from(2);
      auto in = co_await greeter.open(&Greeter::Stub::async::Countdown, request);
      CountdownReply reply;
      while (co_await in.read(reply)) continue;
      (void)co_await in.finish();
      co_await observer::poll_until(reported);
      check("Countdown");
    }
    {
      CollectReply reply;
      auto out = co_await greeter.open(&Greeter::Stub::async::Collect, reply);
      (void)co_await out.finish();
      co_await observer::poll_until(reported);
      check("Collect");
    }
    {
      auto both = co_await greeter.open(&Greeter::Stub::async::Chat);
      (void)co_await both.writes_done();
      ChatMessage message;
      while (co_await both.read(message)) continue;
      (void)co_await both.finish();
      co_await observer::poll_until(reported);
      check("Chat");
    }
  }());
  CHECK(conn_grpc::detail::name_of<handmade>(&handmade::async::Hello).empty());
}

TEST_CASE("a stream that is dropped is reported when gRPC has ended its RPC", "[client]") {
  recorded_calls calls;
  served_client f(1, recorded(calls));
  run(f.io, [&]() -> asio::awaitable<void> {
    {
      auto both = co_await f.greeter->open(&Greeter::Stub::async::Chat, {.timeout = 20s});
      ChatMessage message;
      message.set_text("hello");
      (void)co_await both.write(message);
      (void)co_await both.read(message);
      CHECK(calls.count() == 0);
    }
    co_await observer::poll_until([&] { return calls.count() == 1; });
  }());
  const auto dropped = calls.only();
  CHECK(dropped.status_code == StatusCode::CANCELLED);
  CHECK(dropped.attempts == 1);
  CHECK(dropped.address == f.ports[0]->address());
  CHECK(dropped.thread == std::this_thread::get_id());  // that of the pool's executor
  CHECK(f.in_flight() == 0);
}

TEST_CASE("a stream that outlives its pool and the execution context is reported", "[client]") {
  recorded_calls calls;
  std::optional<served_client> f(std::in_place, 1, recorded(calls));
  const auto processes = std::move(f->processes);
  std::optional<conn_grpc::bidi_stream<ChatMessage, ChatMessage>> kept;
  run(f->io,
      [&]() -> asio::awaitable<void> { kept.emplace(co_await f->greeter->open(&Greeter::Stub::async::Chat)); }());
  f.reset();
  CHECK(calls.count() == 0);
  kept.reset();
  while (calls.count() == 0) std::this_thread::yield();
  const auto late = calls.only();
  CHECK(late.method == "/conn_grpc.test.Greeter/Chat");
  CHECK(late.pool_name == "greeter");
  CHECK(late.status_code == StatusCode::CANCELLED);
  CHECK(late.thread != std::this_thread::get_id());
}

TEST_CASE("a call over a channel of a mock is reported without an address", "[client]") {
  recorded_calls calls;
  const server_process server(greeter_server(), "127.0.0.1:0");
  const auto address = "127.0.0.1:" + std::to_string(server.port());
  asio::io_context io;
  conn_grpc::channel channel(
      io, {.name = "single",
           .address = address,
           .mock = [made = grpc::CreateChannel(address, grpc::InsecureChannelCredentials())] { return made; },
           .telemetry = calls.source});
  const conn_grpc::client<Greeter> greeter(channel);
  run(io, [&]() -> asio::awaitable<void> {
    HelloReply reply;
    const auto request = hello("Ada");
    (void)co_await greeter.call(say_hello, request, reply);
  }());
  const auto mocked = calls.only();
  CHECK(mocked.method == "/conn_grpc.test.Greeter/SayHello");
  CHECK(mocked.status_code == StatusCode::OK);
  CHECK(mocked.attempts == 1);
  CHECK(mocked.channel_name == "single");
  CHECK(mocked.address.empty());
}
