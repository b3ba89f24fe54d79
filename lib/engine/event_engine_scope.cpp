// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/event_engine.hpp>

#include "core/option_checks.hpp"
#include "engine/io_engine.hpp"
#include "runtime/context_locks.hpp"

#include <grpc/event_engine/event_engine.h>
#include <grpc/impl/channel_arg_names.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <utility>

namespace conn_grpc {

using grpc_event_engine::experimental::EventEngine;
using grpc_event_engine::experimental::SetDefaultEventEngine;

namespace {

using namespace std::chrono_literals;

constinit std::atomic<bool> everything_is_taken{false};

struct taking_everything {
  taking_everything() {
    if (everything_is_taken.exchange(true))
      throw std::logic_error("conn_grpc: another event_engine_scope exists, and gRPC has only one default engine");
  }
  ~taking_everything() { everything_is_taken = false; }
  taking_everything(const taking_everything&) = delete;
  taking_everything& operator=(const taking_everything&) = delete;
};

}  // namespace

struct event_engine_scope::state {
  std::unique_ptr<taking_everything> everything;
  std::shared_ptr<engine::io_engine> engine;
};

event_engine_scope::event_engine_scope(asio::io_context& io, event_engine_use use)
    : event_engine_scope(io, event_engine_options{.use = use}) {}

event_engine_scope::event_engine_scope(asio::io_context& io, event_engine_options options)
    : state_(std::make_unique<state>()) {
  core::check(options.busy_poll >= 0us && options.busy_poll <= 1s, "busy_poll", "must be between 0 and 1 s");
  core::check(runtime::locks_io(io), "io",
              "it lacks locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE or _UNSAFE_IO), but other threads use its sockets");
  if (options.use == event_engine_use::everything) state_->everything = std::make_unique<taking_everything>();
  state_->engine = engine::io_engine::make(io, options.busy_poll);
  if (!state_->everything) return;
  state_->engine->loop()->when_detached([] {
    SetDefaultEventEngine(nullptr);
    engine::event_loop::make_current(nullptr);
  });
  SetDefaultEventEngine(state_->engine);
  // Each owner of the loop owns the engine, too, so that the loop goes on.
  engine::event_loop::make_current({state_->engine, state_->engine->loop().get()});
}

event_engine_scope::~event_engine_scope() {
  const auto loop = state_->engine->loop();
  loop->detach();
  loop->settle(1s);
  if (state_->everything) engine::event_loop::hand_over();
  const std::weak_ptr<engine::io_engine> engine = state_->engine;
  state_->engine.reset();
  if (engine.expired()) loop->join();
}

void event_engine_scope::add_to(grpc::ChannelArguments& arguments) const {
  std::shared_ptr<EventEngine> engine = state_->engine;  // gRPC copies it
  arguments.SetPointerWithVtable(GRPC_ARG_EVENT_ENGINE, &engine,
                                 grpc_event_engine::experimental::grpc_event_engine_arg_vtable());
}

}  // namespace conn_grpc
