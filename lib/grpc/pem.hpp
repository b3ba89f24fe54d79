// SPDX-License-Identifier: BSL-1.0
// What OpenSSL, on which gRPC is built, says about certificates and keys. Reading a file and
// examining it are two steps: a file may hang, and OpenSSL is not to be in use for long.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace conn_grpc::detail::pem {

struct file {
  std::filesystem::path path;
  std::string text;
  std::string why_unread{};  ///< "cannot read ...". Empty when it could be read
};
[[nodiscard]] file read(const std::filesystem::path& path);

/// Each function says what is wrong with a file or a pair of files, as gRPC would read
/// them. Null when nothing is wrong.
[[nodiscard]] std::optional<std::string> fault_of_certificates(const file& certificates);
[[nodiscard]] std::optional<std::string> fault_of_key(const file& key, const file& chain);

/// What OpenSSL finds wrong with this chain of a server: "certificate has expired
/// (subject CN=server, issuer ...)". Without roots, OpenSSL's default roots are used.
[[nodiscard]] std::optional<std::string> fault_of_server(std::string_view chain, const std::optional<file>& roots);

/// The path of a file that could be read, and "has expired (subject CN=client, issuer ...)",
/// "is valid now (...)".
[[nodiscard]] std::string description_of_first(const file& chain);

}  // namespace conn_grpc::detail::pem
