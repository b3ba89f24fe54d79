// SPDX-License-Identifier: BSL-1.0
// The name of a method of a generated stub: "/package.Service/Method". Only the generated
// code knows which name belongs to `&Greeter::Stub::async::SayHello`. It passes the name to
// its channel when it begins an RPC. So the method is called once, on a stub whose channel
// is the library's own, and refuses each RPC.
#pragma once

#include <grpcpp/support/client_callback.h>
#include <conn_grpc/detail/config.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace conn_grpc::detail {

/// The bytes of a pointer to a member function. Pointers to virtual functions cannot be
/// compared.
using method_bytes = std::array<std::uintptr_t, 2>;

/// Returns the name, which lives as long as the process.
/// @param service An address that stands for the service.
/// @param begin Begins an RPC of the method over a channel. Called once for each method.
/// @returns empty if `begin` does not begin an RPC.
[[nodiscard]] CONN_GRPC_API std::string_view method_name(
    const void* service, method_bytes method,
    const std::function<void(const std::shared_ptr<grpc::ChannelInterface>&)>& begin) noexcept;

/// True for the code that gRPC's plugin generates. A service that a user wrote by hand is not called.
template <class Service>
concept generated_service = requires(std::shared_ptr<grpc::ChannelInterface> channel) {
  Service::service_full_name();
  Service::NewStub(channel)->async();
};

template <class Service>
inline constexpr char service_key = 0;

template <class Service, class Async, class... Args>
std::string_view name_of(void (Async::*method)(Args...)) {
  if constexpr (generated_service<Service>) {
    const auto begin = [method](const std::shared_ptr<grpc::ChannelInterface>& channel) {
      (Service::NewStub(channel)->async()->*method)(Args()...);
    };
    return method_name(&service_key<Service>, std::bit_cast<method_bytes>(method), std::ref(begin));
  } else {
    return {};
  }
}

}  // namespace conn_grpc::detail
