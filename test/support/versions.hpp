// SPDX-License-Identifier: BSL-1.0
// The texts and the behaviour of gRPC and protobuf depend on the version.
// docs/design/grpc-facts.md has a table.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>

namespace conn_grpc::test {

/// The version of Debian 12 and 13. Later versions were tried from 1.83 on. The version
/// in which each thing changed is not known.
inline bool is_grpc_1_51() { return grpc::Version().starts_with("1.51."); }

/// Protobuf 22 brought another reader of JSON, with texts of its own.
#if __has_include(<google/protobuf/json/json.h>)
inline constexpr bool is_protobuf_3 = false;
#else
inline constexpr bool is_protobuf_3 = true;
#endif

}  // namespace conn_grpc::test
