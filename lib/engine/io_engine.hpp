// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/connecting.hpp"
#include "engine/event_loop.hpp"

#include <grpc/event_engine/event_engine.h>

#include <chrono>
#include <memory>

namespace conn_grpc::engine {

/// gRPC's interface to an io_context. gRPC shares its ownership, perhaps for longer than
/// the scope and the context exist.
class io_engine final : public EventEngine {
 public:
  /// @throws std::system_error when the stand-in thread cannot be started.
  static std::shared_ptr<io_engine> make(asio::io_context& context, std::chrono::microseconds busy_poll = {});
  ~io_engine() override {
    loop_->detach();  // releases Asio's objects while the loop has an owner, whom the context can notify
    loop_->end();
  }
  io_engine(const io_engine&) = delete;
  io_engine& operator=(const io_engine&) = delete;

  [[nodiscard]] const std::shared_ptr<event_loop>& loop() const noexcept { return loop_; }

  absl::StatusOr<std::unique_ptr<Listener>> CreateListener(
      Listener::AcceptCallback on_accept, absl::AnyInvocable<void(absl::Status)> on_shutdown,
      const grpc_event_engine::experimental::EndpointConfig& config,
      std::unique_ptr<grpc_event_engine::experimental::MemoryAllocatorFactory> memory_allocator_factory) override;
  ConnectionHandle Connect(OnConnectCallback on_connect, const ResolvedAddress& addr,
                           const grpc_event_engine::experimental::EndpointConfig& args,
                           MemoryAllocator memory_allocator, Duration timeout) override;
  bool CancelConnect(ConnectionHandle handle) override;
  bool IsWorkerThread() override { return loop_->is_worker(); }
  absl::StatusOr<std::unique_ptr<DNSResolver>> GetDNSResolver(const DNSResolver::ResolverOptions& options) override;
  void Run(Closure* closure) override { loop_->run_control(task(closure)); }
  void Run(absl::AnyInvocable<void()> closure) override { loop_->run(std::move(closure)); }
  TaskHandle RunAfter(Duration when, Closure* closure) override;
  TaskHandle RunAfter(Duration when, absl::AnyInvocable<void()> closure) override;
  bool Cancel(TaskHandle handle) override;

 private:
  explicit io_engine(std::shared_ptr<event_loop> loop) : loop_(std::move(loop)) {}

  const std::shared_ptr<event_loop> loop_;
  const std::shared_ptr<connecting_set> connecting_ = std::make_shared<connecting_set>();
};

}  // namespace conn_grpc::engine
