// SPDX-License-Identifier: BSL-1.0
// What the words and the behaviour of gRPC and protobuf depend on. docs/design/grpc-facts.md has a table.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>

namespace conn_grpc::test {

/// That of Debian 12 and 13. Later ones were tried from 1.83 on; in which version each thing changed is not known.
inline bool is_grpc_1_51() { return grpc::Version().starts_with("1.51."); }

/// Protobuf 22 brought another reader of JSON, with words of its own.
#if __has_include(<google/protobuf/json/json.h>)
inline constexpr bool is_protobuf_3 = false;
#else
inline constexpr bool is_protobuf_3 = true;
#endif

}  // namespace conn_grpc::test
