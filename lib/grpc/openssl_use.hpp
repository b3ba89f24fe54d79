// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace conn_grpc::detail {

/// When the process exits, OpenSSL destroys what its functions need, whatever the threads
/// do. `called` is called before that, also in a child that is forked later.
void before_openssl_ends(void (*called)());

/// Held, for a moment, by a detached thread while it uses OpenSSL, itself or through gRPC. An
/// exit waits for these threads before OpenSSL ends, for a second at most.
class openssl_use {
 public:
  /// To be called before such a thread is started.
  static void prepare();

  /// Once the process exits, it does not return.
  openssl_use();
  /// Frees what OpenSSL keeps for this thread.
  ~openssl_use();
  openssl_use(const openssl_use&) = delete;
  openssl_use& operator=(const openssl_use&) = delete;
};

}  // namespace conn_grpc::detail
