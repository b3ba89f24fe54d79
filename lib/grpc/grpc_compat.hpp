// SPDX-License-Identifier: BSL-1.0
// The differences between versions of gRPC and protobuf. The choice depends on what a
// version has, not on its number.
#pragma once

#include <conn_grpc/detail/features.hpp>

#include <grpcpp/security/tls_certificate_provider.h>
#if defined(CONN_GRPC_HAS_EVENT_ENGINE)
#include <grpc/event_engine/event_engine.h>
#endif

#include <memory>
#include <string>

namespace conn_grpc::detail {

using provider_ptr = std::shared_ptr<::grpc::experimental::CertificateProviderInterface>;

/// @tparam Options a template parameter, so that functions are not instantiated that this
/// version does not have, or deprecates.
template <class Options>
void take_roots_from(Options& options, const provider_ptr& provider) {
  // 1.80 and later have it (grpc#41490). It is the only one that 1.83 does not deprecate.
  // 1.51 does not have it.
  if constexpr (requires { options.set_root_certificate_provider(provider); }) {
    options.set_root_certificate_provider(provider);
  } else {
    options.set_certificate_provider(provider);
    options.watch_root_certs();
  }
}

template <class Options>
void take_identity_from(Options& options, const provider_ptr& provider) {
  // As above.
  if constexpr (requires { options.set_identity_certificate_provider(provider); }) {
    options.set_identity_certificate_provider(provider);
  } else {
    options.set_certificate_provider(provider);
    options.watch_identity_key_cert_pairs();
  }
}

/// The engine that has gRPC's threads. Call this function while gRPC is in use. The destruction of
/// the last pointer waits for these threads. Null with 1.51, whose threads end with gRPC's
/// shutdown.
inline std::shared_ptr<void> threads_of_grpc() {
#if defined(CONN_GRPC_HAS_EVENT_ENGINE)
  return ::grpc_event_engine::experimental::GetDefaultEventEngine();
#else
  return {};
#endif
}

/// @tparam Descriptor of protobuf; its `name()` is a std::string up to 29 and a
/// std::string_view from 30 on.
template <class Descriptor>
std::string name_of(const Descriptor& descriptor) {
  return std::string(descriptor.name());
}

}  // namespace conn_grpc::detail
