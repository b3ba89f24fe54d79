// SPDX-License-Identifier: BSL-1.0
// gRPC on virtual time: real channels with their real backoff, keepalive and deadlines,
// without a socket, a thread or a wait. For gRPC with a public EventEngine.
#pragma once

#include <grpc/event_engine/event_engine.h>
#include <grpc/event_engine/memory_allocator.h>
#include <grpc/event_engine/slice_buffer.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/task.hpp"
#include "engine/timer_queue.hpp"

namespace conn_grpc::test {

/// One end of a connection in memory. What is written to one end is read from the other.
/// *Thread safety*: none, as all of this file: one thread runs the engine and uses gRPC.
class memory_pipe {
 public:
  using bytes = std::string;
  struct end {
    std::function<void()> changed;  // bytes have come, or the other end has closed
    bytes received;
    bool other_closed = false;
  };
  end ends[2];
};

/// An engine whose time passes when the test says so.
class virtual_engine final : public grpc_event_engine::experimental::EventEngine {
 public:
  using time = std::chrono::nanoseconds;  // since the engine was made

  /// What becomes of an attempt: an error, or a connection whose other end the test has.
  using peer = std::shared_ptr<memory_pipe>;
  std::function<absl::StatusOr<peer>()> on_connect = [] {
    return absl::StatusOr<peer>(absl::UnknownError("Failed to connect to remote host: Connection refused"));
  };

  [[nodiscard]] time now() const { return now_; }
  /// When gRPC has tried to connect.
  [[nodiscard]] const std::vector<time>& attempts() const { return attempts_; }

  /// Runs all that is due now.
  void run() {
    while (!tasks_.empty()) {
      auto next = std::move(tasks_.front());
      tasks_.pop_front();
      next();
    }
  }

  /// Lets that time pass: each timer runs when it is due.
  void advance(time by) {
    const auto end = now_ + by;
    run();
    for (auto due = timers_.next(); due && *due <= end; due = timers_.next()) {
      now_ = std::max(now_, *due);
      if (auto task = timers_.pop_due(now_)) (*task)();
      run();
    }
    now_ = end;
  }

  absl::StatusOr<std::unique_ptr<Listener>> CreateListener(
      Listener::AcceptCallback, absl::AnyInvocable<void(absl::Status)>,
      const grpc_event_engine::experimental::EndpointConfig&,
      std::unique_ptr<grpc_event_engine::experimental::MemoryAllocatorFactory>) override {
    return absl::UnimplementedError("no listeners");
  }

  ConnectionHandle Connect(OnConnectCallback called, const ResolvedAddress& address,
                           const grpc_event_engine::experimental::EndpointConfig&,
                           grpc_event_engine::experimental::MemoryAllocator allocator, Duration) override {
    attempts_.push_back(now_);
    auto result = on_connect();
    Run([this, called = std::move(called), result = std::move(result), address,
         allocator = std::move(allocator)]() mutable {
      if (!result.ok()) return called(result.status());
      called(std::make_unique<endpoint>(*this, *std::move(result), address));
    });
    return ConnectionHandle::kInvalid;
  }
  bool CancelConnect(ConnectionHandle) override { return false; }
  bool IsWorkerThread() override { return true; }
  absl::StatusOr<std::unique_ptr<DNSResolver>> GetDNSResolver(const DNSResolver::ResolverOptions&) override {
    return absl::UnimplementedError("use ipv4: addresses");
  }
  void Run(Closure* closure) override { tasks_.emplace_back(closure); }
  void Run(absl::AnyInvocable<void()> closure) override { tasks_.emplace_back(std::move(closure)); }
  TaskHandle RunAfter(Duration when, Closure* closure) override { return add(when, engine::task(closure)); }
  TaskHandle RunAfter(Duration when, absl::AnyInvocable<void()> closure) override {
    return add(when, engine::task(std::move(closure)));
  }
  bool Cancel(TaskHandle handle) override {
    return timers_.cancel({static_cast<std::uint64_t>(handle.keys[0]), static_cast<std::uint64_t>(handle.keys[1])})
        .has_value();
  }

 private:
  /// gRPC's end of a pipe: end 0.
  class endpoint final : public Endpoint {
   public:
    endpoint(virtual_engine& engine, peer pipe, const ResolvedAddress& address)
        : engine_(engine), pipe_(std::move(pipe)), address_(address) {
      pipe_->ends[0].changed = [this] { offer(); };
    }
    ~endpoint() override {
      pipe_->ends[0].changed = nullptr;
      pipe_->ends[1].other_closed = true;
      if (pipe_->ends[1].changed)
        engine_.Run([pipe = pipe_] {
          if (pipe->ends[1].changed) pipe->ends[1].changed();
        });
      if (on_read_) engine_.Run([called = std::move(on_read_)]() mutable { called(absl::CancelledError("closed")); });
    }

    bool Read(absl::AnyInvocable<void(absl::Status)> on_read, grpc_event_engine::experimental::SliceBuffer* buffer,
              ReadArgs) override {
      on_read_ = std::move(on_read);
      into_ = buffer;
      engine_.Run([pipe = pipe_] {
        if (pipe->ends[0].changed) pipe->ends[0].changed();
      });
      return false;
    }
    bool Write(absl::AnyInvocable<void(absl::Status)>, grpc_event_engine::experimental::SliceBuffer* data,
               WriteArgs) override {
      std::string bytes(data->Length(), '\0');
      data->MoveFirstNBytesIntoBuffer(bytes.size(), bytes.data());
      pipe_->ends[1].received += bytes;
      engine_.Run([pipe = pipe_] {
        if (pipe->ends[1].changed) pipe->ends[1].changed();
      });
      return true;
    }
    const ResolvedAddress& GetPeerAddress() const override { return address_; }
    const ResolvedAddress& GetLocalAddress() const override { return address_; }
    std::shared_ptr<TelemetryInfo> GetTelemetryInfo() const override { return nullptr; }

   private:
    void offer() {
      if (!on_read_) return;
      auto& own = pipe_->ends[0];
      if (own.received.empty() && !own.other_closed) return;
      auto called = std::exchange(on_read_, nullptr);
      if (own.received.empty()) return called(absl::UnavailableError("Socket closed"));
      into_->Clear();
      into_->Append(grpc_event_engine::experimental::Slice::FromCopiedString(std::exchange(own.received, {})));
      called(absl::OkStatus());
    }

    virtual_engine& engine_;
    const peer pipe_;
    const ResolvedAddress address_;
    absl::AnyInvocable<void(absl::Status)> on_read_;
    grpc_event_engine::experimental::SliceBuffer* into_ = nullptr;
  };

  TaskHandle add(Duration when, engine::task task) {
    const auto handle = timers_.add(now_ + std::max(when, Duration::zero()), std::move(task));
    return {{static_cast<std::intptr_t>(handle.slot), static_cast<std::intptr_t>(handle.generation)}};
  }

  time now_{0};
  std::deque<engine::task> tasks_;
  engine::timer_queue<engine::task, time> timers_;
  std::vector<time> attempts_;
};

}  // namespace conn_grpc::test
