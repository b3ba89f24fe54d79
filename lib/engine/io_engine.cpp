// SPDX-License-Identifier: BSL-1.0
#include "engine/io_engine.hpp"

#include "engine/listener.hpp"
#include "engine/look_up.hpp"

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <utility>

namespace conn_grpc::engine {
namespace {

EventEngine::TaskHandle to_grpc(timer_handle handle) {
  return {{static_cast<std::intptr_t>(handle.slot), static_cast<std::intptr_t>(handle.generation)}};
}

timer_handle from_grpc(EventEngine::TaskHandle handle) {
  if (handle == EventEngine::TaskHandle::kInvalid) return {};
  return {.slot = static_cast<std::uint64_t>(handle.keys[0]), .generation = static_cast<std::uint64_t>(handle.keys[1])};
}

}  // namespace

std::shared_ptr<io_engine> io_engine::make(asio::io_context& context, std::chrono::microseconds busy_poll) {
  const auto loop = std::make_shared<event_loop>(context, busy_poll);
  std::shared_ptr<io_engine> made(new io_engine(loop));
  loop->start();
  return made;
}

absl::StatusOr<std::unique_ptr<EventEngine::Listener>> io_engine::CreateListener(
    Listener::AcceptCallback on_accept, absl::AnyInvocable<void(absl::Status)> on_shutdown,
    const grpc_event_engine::experimental::EndpointConfig& config,
    std::unique_ptr<grpc_event_engine::experimental::MemoryAllocatorFactory> memory_allocator_factory) {
  return std::make_unique<listener>(accepting::make(loop_, std::move(on_accept), std::move(on_shutdown),
                                                    socket_options(config), std::move(memory_allocator_factory)));
}

EventEngine::ConnectionHandle io_engine::Connect(OnConnectCallback on_connect, const ResolvedAddress& addr,
                                                 const grpc_event_engine::experimental::EndpointConfig& args,
                                                 MemoryAllocator memory_allocator, Duration timeout) {
  const auto attempt = std::make_shared<connecting>(loop_, connecting_, std::move(on_connect), addr,
                                                    socket_options(args), std::move(memory_allocator));
  return {{static_cast<std::intptr_t>(attempt->start(timeout)), 0}};
}

bool io_engine::CancelConnect(ConnectionHandle handle) {
  const auto attempt = connecting_->take(handle.keys[0]);
  if (!attempt) return false;
  (void)attempt->cancel();  // destroys the callback
  return true;
}

absl::StatusOr<std::unique_ptr<EventEngine::DNSResolver>> io_engine::GetDNSResolver(
    const DNSResolver::ResolverOptions& options) {
  if (!options.dns_server.empty())
    return absl::UnimplementedError("conn_grpc's event engine asks the system's resolver only");
  return std::make_unique<dns_resolver>(loop_);
}

EventEngine::TaskHandle io_engine::RunAfter(Duration when, Closure* closure) {
  return to_grpc(loop_->run_after(when, task(closure)));
}

EventEngine::TaskHandle io_engine::RunAfter(Duration when, absl::AnyInvocable<void()> closure) {
  return to_grpc(loop_->run_after(when, task(std::move(closure))));
}

bool io_engine::Cancel(TaskHandle handle) { return loop_->cancel(from_grpc(handle)); }

}  // namespace conn_grpc::engine
