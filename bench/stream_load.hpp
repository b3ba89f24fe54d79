// SPDX-License-Identifier: BSL-1.0
// Loads of one stream with messages of 16 bytes, for the programs that measure streams.
#pragma once

#include <grpcpp/client_context.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <conn_grpc/streams.hpp>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "greeter.grpc.pb.h"
#include "support.hpp"

namespace conn_grpc::bench {

namespace asio = boost::asio;
using test::ChatMessage;
using test::CollectReply;
using test::CollectRequest;
using test::CountdownReply;
using test::CountdownRequest;
using test::Greeter;
using methods = class Greeter::Stub::async;

inline constexpr int messages = 5'000, turns = 500;  // per round
inline constexpr std::size_t bytes = 16;

inline CountdownRequest countdown() {
  CountdownRequest request;
  request.set_from(messages);
  request.set_size(bytes);
  return request;
}

inline CollectRequest collected() {
  CollectRequest request;
  request.set_payload(std::string(bytes, 'x'));
  return request;
}

inline ChatMessage said() {
  ChatMessage message;
  message.set_text(std::string(bytes, 'x'));
  return message;
}

inline asio::awaitable<void> reads(Greeter::Stub& stub) {
  auto in = conn_grpc::open(stub, &methods::Countdown, std::make_unique<grpc::ClientContext>(), countdown());
  CountdownReply reply;
  while (co_await in.read(reply)) keep(reply);
  const auto status = co_await in.finish();
  if (!status.ok()) throw std::runtime_error("the RPC has failed");
}

inline asio::awaitable<void> writes(Greeter::Stub& stub) {
  CollectReply reply;
  auto out = conn_grpc::open(stub, &methods::Collect, std::make_unique<grpc::ClientContext>(), reply);
  const auto request = collected();
  for (int i = 0; i < messages; ++i) (void)co_await out.write(request);
  const auto status = co_await out.finish();
  if (!status.ok()) throw std::runtime_error("the RPC has failed");
}

inline asio::awaitable<void> takes_turns(Greeter::Stub& stub) {
  auto both = conn_grpc::open(stub, &methods::Chat, std::make_unique<grpc::ClientContext>());
  const auto request = said();
  ChatMessage reply;
  for (int i = 0; i < turns; ++i) {
    (void)co_await both.write(request);
    (void)co_await both.read(reply);
  }
  (void)co_await both.writes_done();
  while (co_await both.read(reply)) keep(reply);
  const auto status = co_await both.finish();
  if (!status.ok()) throw std::runtime_error("the RPC has failed");
}

struct stream_kind {
  const char* name;
  int messages;
  asio::awaitable<void> (*run)(Greeter::Stub&);
};

inline constexpr stream_kind stream_kinds[] = {
    {"read", messages, reads}, {"written", messages, writes}, {"written, and answered", turns, takes_turns}};

/// Of one message.
struct message_cost {
  double per_second;
  double cpu_us;
};

template <class Run>
message_cost cost_of(int count, Run&& run) {
  const auto before = usage::now();
  const stopwatch watch;
  run();
  const double per_second = count / watch.ms() * 1e3;
  return {per_second, (usage::now() - before).cpu_ms / count * 1e3};
}

/// Runs the context until that coroutine has ended.
inline void run_on(asio::io_context& io, asio::awaitable<void> task) {
  io.restart();
  auto ended = asio::co_spawn(io, std::move(task), asio::use_future);
  io.run();
  ended.get();
}

}  // namespace conn_grpc::bench
