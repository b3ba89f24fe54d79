// SPDX-License-Identifier: BSL-1.0
// What does a message of a stream cost?
//
// messages GREETER_SERVER: messages per second of one stream, on one connection, with
// messages of 16 bytes. A coroutine on an io_context with one thread reads, writes, or
// writes and awaits the answer in turn. It is compared with gRPC's own reactors, whose
// callbacks begin the next operation on gRPC's thread. A program that has an io_context
// cannot do that: it has to bring each message there.
//
// The client and the server want both of two CPUs, so one round can be a third faster
// than the next. So there are many short rounds.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "greeter.grpc.pb.h"
#include "main.hpp"
#include "process.hpp"
#include "stream_load.hpp"
#include "support.hpp"

namespace {

using namespace conn_grpc::bench;
namespace asio = boost::asio;

constexpr std::size_t rounds = 41;

/// A reactor of gRPC's, and the end of its RPC.
template <class Reactor>
class bare : public Reactor {
 public:
  void await() {
    if (!ended_.get_future().get().ok()) throw std::runtime_error("the RPC has failed");
  }

 protected:
  grpc::ClientContext context_;

 private:
  void OnDone(const grpc::Status& status) override { ended_.set_value(status); }

  std::promise<grpc::Status> ended_;
};

class bare_reads final : public bare<grpc::ClientReadReactor<CountdownReply>> {
 public:
  explicit bare_reads(Greeter::Stub& stub) {
    stub.async()->Countdown(&context_, &request_, this);
    StartRead(&reply_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (ok) StartRead(&reply_);
  }

  const CountdownRequest request_ = countdown();
  CountdownReply reply_;
};

class bare_writes final : public bare<grpc::ClientWriteReactor<CollectRequest>> {
 public:
  explicit bare_writes(Greeter::Stub& stub) {
    stub.async()->Collect(&context_, &reply_, this);
    StartWrite(&request_);
    StartCall();
  }

 private:
  void OnWriteDone(bool ok) override {
    if (!ok) return;
    if (--left_ > 0)
      StartWrite(&request_);
    else
      StartWritesDone();
  }

  const CollectRequest request_ = collected();
  CollectReply reply_;
  int left_ = messages;
};

class bare_turns final : public bare<grpc::ClientBidiReactor<ChatMessage, ChatMessage>> {
 public:
  explicit bare_turns(Greeter::Stub& stub) {
    stub.async()->Chat(&context_, this);
    StartWrite(&request_);
    StartCall();
  }

 private:
  void OnWriteDone(bool ok) override {
    if (ok) StartRead(&reply_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (--left_ > 0)
      StartWrite(&request_);
    else
      StartWritesDone();
  }

  const ChatMessage request_ = said();
  ChatMessage reply_;
  int left_ = turns;
};

template <class Reactor>
void run_bare(Greeter::Stub& stub) {
  Reactor(stub).await();
}

void compare(const std::string& address) {
  asio::io_context io;
  const auto stub = Greeter::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  // As stream_kinds.
  constexpr void (*with_reactors[])(Greeter::Stub&) = {run_bare<bare_reads>, run_bare<bare_writes>,
                                                       run_bare<bare_turns>};
  table result({"messages", "reactors: per second", "CPU us", "streams: per second", "CPU us", "x", "CPU x"});
  for (std::size_t kind = 0; kind < std::size(stream_kinds); ++kind) {
    const auto& s = stream_kinds[kind];
    samples per_second[2], cpu_us[2];
    const auto measure = [&](std::size_t which, const std::function<void()>& run) {
      const auto cost = cost_of(s.messages, run);
      per_second[which].push_back(cost.per_second);
      cpu_us[which].push_back(cost.cpu_us);
    };
    const auto bare = [&] { with_reactors[kind](*stub); };
    const auto ours = [&] { run_on(io, s.run(*stub)); };
    bare();
    ours();
    for (std::size_t round = 0; round < rounds; ++round) {
      measure(0, bare);
      measure(1, ours);
    }
    const auto ratio = typical_ratio(per_second[1], per_second[0]);
    const auto cpu_ratio = typical_ratio(cpu_us[1], cpu_us[0]);
    result.add({s.name, number(median(per_second[0]), 0), number(median(cpu_us[0]), 1),
                number(median(per_second[1]), 0), number(median(cpu_us[1]), 1), number(ratio, 2),
                number(cpu_ratio, 2)});
    const auto series = [&](const char* what) { return std::string(s.name) + ": " + what; };
    record("messages", series("reactors, per second"), 1, median(per_second[0]));
    record("messages", series("streams, per second"), 1, median(per_second[1]));
    record("messages", series("of reactors"), 1, ratio);
    record("messages", series("CPU of reactors"), 1, cpu_ratio);
  }
  result.print();
}

}  // namespace

int main(int argc, char** argv) {
  return run_benchmark_with_server("messages", argc, argv, [](const std::string& address) {
    std::printf("medians of %zu rounds of %d messages, or of %d turns; the server shares this machine's CPUs\n", rounds,
                messages, turns);
    compare(address);
  });
}
