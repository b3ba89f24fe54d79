// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace conn_grpc::detail {

/// When the process exits, OpenSSL destroys what its functions need, whatever the threads
/// do. Calls `called` before that. It may be called in a child that was forked later.
void before_openssl_ends(void (*called)());

/// Held while a thread uses OpenSSL, itself or through gRPC, for a moment. When the process
/// exits, it waits for these threads before OpenSSL ends, for a second at most.
class openssl_use {
 public:
  /// Once the process exits, it returns only on the thread that has called exit.
  openssl_use();
  ~openssl_use();
  openssl_use(const openssl_use&) = delete;
  openssl_use& operator=(const openssl_use&) = delete;
};

/// True once there was an openssl_use: the program uses TLS credentials of this library.
[[nodiscard]] bool has_used_openssl();

}  // namespace conn_grpc::detail
