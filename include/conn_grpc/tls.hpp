// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// Credentials from files that can be replaced while the program runs.

#include <grpcpp/security/credentials.h>
#include <conn_grpc/detail/config.hpp>

#include <chrono>
#include <filesystem>
#include <memory>

namespace conn_grpc {

/// The PEM files of TLS credentials. gRPC reads them again every `refresh_interval`, so
/// certificates can be replaced without a restart. In a designated initializer, name the
/// fields in this order.
struct tls_files {
  /// The certificates of the CAs that may have issued the server's certificate. Empty
  /// means gRPC's default roots, which are not read again.
  std::filesystem::path root_certs{};

  /// The client's certificate, then the intermediate ones, for servers that ask for it
  /// (mTLS). Needs `private_key`.
  std::filesystem::path cert_chain{};

  /// The key of the first certificate in `cert_chain`, without a passphrase. Needs
  /// `cert_chain`.
  std::filesystem::path private_key{};

  /// How often gRPC reads the files again. At least one second.
  std::chrono::seconds refresh_interval{60};
};

/// Makes credentials for `channel_options::credentials`: TLS, or mTLS with a
/// `cert_chain`.
///
/// gRPC checks the server's certificate, its dates and its name. The name must be the
/// host of `channel_options::address`, unless GRPC_SSL_TARGET_NAME_OVERRIDE_ARG is among
/// the arguments.
///
/// **Rotation.** New connections use the certificates that were read last. Existing
/// connections go on. A thread of gRPC reads the files, one thread for each call of this
/// function. New files are in use one interval after they were replaced, at the latest.
///
/// Replace a file by renaming another file over it. Replace key and chain at the same
/// time: keep both in a single file, or in a folder that is reached through a symbolic
/// link. In that case, rename a new link over the old one. gRPC 1.51 reads the key, then
/// the chain. It reads both again if a modification time, in whole seconds, has changed
/// meanwhile. If key and chain do not match, or a file cannot be read, connecting fails
/// until gRPC reads good files. There is one exception: gRPC goes on with the last content
/// of a file that it cannot read any more, while a channel of these credentials exists.
///
/// To replace a CA, have both CAs in `root_certs` for as long as there are servers of
/// either.
///
/// **Reasons.** `channel_status::last_error` has the words of gRPC. Where they say too
/// little, the library adds:
///
///  - the fault of a server's certificate that was refused ("certificate has expired",
///    "unable to get local issuer certificate"). gRPC 1.51 does not report it. So a
///    second connection of the same attempt asks for the certificate, and is used for
///    nothing else. The library does not do that with your own `create_channel`;
///  - for "Failed to create security handshaker", the file that is wrong, and its fault;
///  - for a connection that the server closed, whether there is a client certificate, and
///    whether it has expired. In gRPC 1.51, a server's refusal of the client's
///    certificate looks like that. With TLS 1.3 the server does that after the handshake.
///    Only the server's log has the real reason.
///
/// The library adds nothing to credentials that are part of
/// grpc::CompositeChannelCredentials.
///
/// *Errors*: Throws boost::system::system_error with errc::invalid_options and the name
/// of the field. The function refuses a file that cannot be read or has no usable PEM
/// block, and a key that does not match the certificate. It also refuses a chain without
/// a key, a key without a chain, and an interval below 1 s. Certificates that have
/// expired, or are not valid yet, are accepted, because they can be replaced.
///
/// *Thread safety*: Any thread may call this function.
[[nodiscard]] CONN_GRPC_API std::shared_ptr<grpc::ChannelCredentials> tls_credentials(const tls_files& files);

}  // namespace conn_grpc
