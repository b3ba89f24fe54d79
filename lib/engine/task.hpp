// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpc/event_engine/event_engine.h>

#include <absl/functional/any_invocable.h>

#include <utility>

namespace conn_grpc::engine {

using grpc_event_engine::experimental::EventEngine;

/// A function that gRPC has handed over. A closure stays gRPC's own, a function belongs to
/// the task.
class task {
 public:
  using function = absl::AnyInvocable<void()>;

  explicit task(EventEngine::Closure* closure) : closure_(closure) {}
  explicit task(function called) : called_(std::move(called)) {}

  void operator()() {
    if (closure_ != nullptr)
      closure_->Run();
    else
      called_();
  }

 private:
  EventEngine::Closure* closure_ = nullptr;
  function called_;
};

}  // namespace conn_grpc::engine
