// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/security/credentials.h>
#include <conn_grpc/detail/config.hpp>

#include <chrono>
#include <filesystem>
#include <memory>

namespace conn_grpc {

/// PEM files; read again every `refresh_interval`, so that certificates can be rotated without a restart. Name the
/// fields in this order.
struct tls_files {
  /// The CAs that may have issued the server's certificate. Empty: gRPC's default roots, which are not read again.
  std::filesystem::path root_certs{};

  /// The client's certificate, then the intermediate ones, for servers that ask for it (mTLS). Needs `private_key`.
  std::filesystem::path cert_chain{};

  /// The key of the first certificate in `cert_chain`, without a passphrase. Needs `cert_chain`.
  std::filesystem::path private_key{};

  /// At least one second.
  std::chrono::seconds refresh_interval{60};
};

/// Credentials for `channel_options::credentials`: TLS, or mTLS with a `cert_chain`. gRPC checks the server's
/// certificate, its dates and its name, which must be the host of `channel_options::address`
/// (GRPC_SSL_TARGET_NAME_OVERRIDE_ARG among the arguments overrides that). Thread-safe.
///
/// **Rotation.** New connections use what was last read, existing ones go on. A thread of gRPC's, one for each call of
/// this function, reads the files: an interval after they were replaced at the latest, the new ones are in use.
/// Replace each file by renaming another over it. Replace key and chain at once: keep them in a folder that is reached
/// through a symbolic link, and rename a new link over that, or keep both in one file. gRPC 1.51 reads the key, then
/// the chain, and both again if a modification time has changed meanwhile, in whole seconds. If it reads a key and a
/// chain that do not belong together, or cannot read a file, connecting fails until it reads good ones.
///
/// To replace a CA, have both in `root_certs` for as long as there are servers of either.
///
/// **Reasons.** `channel_status::last_error` is what gRPC says, and, where that is too little:
///
///  - of a server's certificate that was refused, what is wrong with it ("certificate has expired", "unable to get
///    local issuer certificate"). gRPC 1.51 does not tell; so a second connection asks for the certificate, in the same
///    attempt. It is never used for anything else. Not with a `create_channel` of your own;
///  - of "Failed to create security handshaker", what is wrong with which file;
///  - of a connection that the server closed, which is all that gRPC 1.51 says when a server refuses the client's
///    certificate (with TLS 1.3 that is after the handshake), whether there is one, and whether it has expired. The
///    server's log tells whether that was the reason.
///
/// None of that once they are part of grpc::CompositeChannelCredentials.
///
/// @throws boost::system::system_error with errc::invalid_options and the name of the field: a file that cannot be read
/// or holds no usable PEM block, a key that is not the certificate's, one of chain and key without the other, an
/// interval below 1 s. Certificates that are expired, or not valid yet, are not refused: they can be replaced.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<grpc::ChannelCredentials> tls_credentials(const tls_files& files);

}  // namespace conn_grpc
