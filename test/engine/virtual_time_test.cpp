// SPDX-License-Identifier: BSL-1.0
// Real channels on virtual time.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/bare_call.hpp"
#include "support/catch.hpp"
#include "support/listener.hpp"
#include "support/virtual_engine.hpp"

using namespace std::chrono_literals;
using namespace conn_grpc::test;
using grpc_event_engine::experimental::SetDefaultEventEngine;

namespace {

struct virtual_fixture {
  virtual_fixture() { SetDefaultEventEngine(engine); }
  ~virtual_fixture() {
    channel.reset();
    engine->advance(1h);
    SetDefaultEventEngine(nullptr);
  }
  virtual_fixture(const virtual_fixture&) = delete;
  virtual_fixture& operator=(const virtual_fixture&) = delete;

  void make_channel(grpc::ChannelArguments arguments = {}) {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel = grpc::CreateCustomChannel("ipv4:127.0.0.1:1", grpc::InsecureChannelCredentials(), arguments);
  }

  std::shared_ptr<virtual_engine> engine = std::make_shared<virtual_engine>();
  std::shared_ptr<grpc::Channel> channel;
};

double seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

TEST_CASE("the backoff of ten minutes", "[virtual]") {
  const auto begun = std::chrono::steady_clock::now();
  virtual_fixture f;
  f.make_channel();
  // A channel asks for a connection as long as an RPC waits for one.
  bare_call call(f.channel);
  call.context.set_wait_for_ready(true);
  call.start();
  f.engine->advance(10min);
  const auto& attempts = f.engine->attempts();
  // gRPC's connection-backoff.md: 1 s, times 1.6, at most 120 s, each plus or minus a fifth.
  REQUIRE(attempts.size() >= 10);
  CHECK(attempts.size() <= 20);
  double expected = 1;
  for (std::size_t i = 1; i < attempts.size(); ++i, expected = std::min(expected * 1.6, 120.0)) {
    const double delay = seconds(attempts[i] - attempts[i - 1]);
    CHECK(delay > expected * 0.79);
    CHECK(delay < expected * 1.21 + 0.1);
  }
  CHECK_FALSE(call.called);
  call.context.TryCancel();
  f.engine->run();
  CHECK(call.called);
  CHECK(call.status.error_code() == grpc::StatusCode::CANCELLED);
  CHECK(std::chrono::steady_clock::now() - begun < 30s);
}

TEST_CASE("an RPC's deadline", "[virtual]") {
  virtual_fixture f;
  f.make_channel();
  bare_call call(f.channel);
  call.context.set_wait_for_ready(true);
  call.context.set_deadline(std::chrono::system_clock::now() + 1h);
  call.start();
  f.engine->advance(59min);
  CHECK_FALSE(call.called);
  f.engine->advance(2min);
  REQUIRE(call.called);
  CHECK(call.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_CASE("keepalive notices a peer that does not answer", "[virtual]") {
  virtual_fixture f;
  std::shared_ptr<memory_pipe> pipe;
  f.engine->on_connect = [&] {
    pipe = std::make_shared<memory_pipe>();
    pipe->ends[0].received = empty_settings;
    return absl::StatusOr<virtual_engine::peer>(pipe);
  };
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt("grpc.http2.ping_timeout_ms", 5'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  f.make_channel(arguments);
  f.channel->GetState(true);
  f.engine->advance(1s);
  REQUIRE(f.channel->GetState(false) == GRPC_CHANNEL_READY);
  f.engine->advance(50s);
  CHECK(f.channel->GetState(false) == GRPC_CHANNEL_READY);
  CHECK_FALSE(pipe->ends[1].other_closed);
  f.engine->advance(30s);
  CHECK(f.channel->GetState(false) != GRPC_CHANNEL_READY);
  CHECK(pipe->ends[1].other_closed);
}
