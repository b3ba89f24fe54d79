// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/method_name.hpp>

#include <grpcpp/impl/call.h>
#include <grpcpp/impl/channel_interface.h>
#include <grpcpp/impl/rpc_method.h>

#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace conn_grpc::detail {
namespace {

/// Refuses each RPC, and keeps the name of its method. gRPC's client code begins each RPC
/// with `CreateCall`, before it uses the arguments (1.51 to 1.83).
class asked_channel final : public grpc::ChannelInterface {
 public:
  struct refused {};

  [[nodiscard]] const std::string& method() const { return method_; }

 private:
  grpc_connectivity_state GetState(bool) override { return GRPC_CHANNEL_SHUTDOWN; }
  grpc::internal::Call CreateCall(const grpc::internal::RpcMethod& method, grpc::ClientContext*,
                                  grpc::CompletionQueue*) override {
    method_ = method.name();
    throw refused();
  }
  void PerformOpsOnCall(grpc::internal::CallOpSetInterface*, grpc::internal::Call*) override {}
  void* RegisterMethod(const char*) override { return nullptr; }
  void NotifyOnStateChangeImpl(grpc_connectivity_state, gpr_timespec, grpc::CompletionQueue*, void*) override {}
  bool WaitForStateChangeImpl(grpc_connectivity_state, gpr_timespec) override { return false; }
  // gRPC checks that it is not null, and passes it to CreateCall. A real queue would start gRPC.
  grpc::CompletionQueue* CallbackCQ() override { return reinterpret_cast<grpc::CompletionQueue*>(this); }

  std::string method_;
};

std::string ask(const std::function<void(const std::shared_ptr<grpc::ChannelInterface>&)>& begin) {
  const auto channel = std::make_shared<asked_channel>();
  try {
    begin(channel);
  } catch (const asked_channel::refused&) {  // as it is meant to be
  }
  return channel->method();
}

}  // namespace

std::string_view method_name(const void* service, method_bytes method,
                             const std::function<void(const std::shared_ptr<grpc::ChannelInterface>&)>& begin) noexcept
    try {
  // Never destroyed, so that views of the names stay valid.
  static auto& names = *new std::map<std::pair<const void*, method_bytes>, std::string>;
  static constinit std::mutex mutex;
  const std::pair key(service, method);
  {
    const std::lock_guard lock(mutex);
    if (const auto known = names.find(key); known != names.end()) return known->second;
  }
  auto name = ask(begin);  // without the lock: the stub is the user's code
  const std::lock_guard lock(mutex);
  return names.try_emplace(key, std::move(name)).first->second;
} catch (...) {  // no memory: the next call asks again
  return {};
}

}  // namespace conn_grpc::detail
