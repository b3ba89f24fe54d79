// SPDX-License-Identifier: BSL-1.0
// Compiles with a gRPC whose EventEngine is public and has the form that this folder
// implements. Meson compiles it to find that out; it is not part of the library.
#include <grpc/event_engine/event_engine.h>
#include <grpc/impl/channel_arg_names.h>

#include <memory>

using grpc_event_engine::experimental::EventEngine;
using grpc_event_engine::experimental::SliceBuffer;

class endpoint final : public EventEngine::Endpoint {
 public:
  bool Read(absl::AnyInvocable<void(absl::Status)>, SliceBuffer*, ReadArgs) override { return false; }
  bool Write(absl::AnyInvocable<void(absl::Status)>, SliceBuffer*, WriteArgs) override { return false; }
  [[nodiscard]] const EventEngine::ResolvedAddress& GetPeerAddress() const override { return address_; }
  [[nodiscard]] const EventEngine::ResolvedAddress& GetLocalAddress() const override { return address_; }
  [[nodiscard]] std::shared_ptr<TelemetryInfo> GetTelemetryInfo() const override { return nullptr; }

 private:
  EventEngine::ResolvedAddress address_;
};

std::unique_ptr<EventEngine::Endpoint> make() { return std::make_unique<endpoint>(); }

void use(std::shared_ptr<EventEngine> engine) {
  grpc_event_engine::experimental::SetDefaultEventEngine(engine);
  (void)grpc_event_engine::experimental::grpc_event_engine_arg_vtable();
  (void)engine->Cancel(EventEngine::TaskHandle::kInvalid);
}

const char* argument = GRPC_ARG_EVENT_ENGINE;
