// SPDX-License-Identifier: BSL-1.0
// What OpenSSL, on which gRPC is built, says about certificates and keys.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace conn_grpc::detail::pem {

/// Each function says what is wrong with a file or a pair of files, as gRPC would read
/// them. Null when nothing is wrong.
[[nodiscard]] std::optional<std::string> fault_of_certificates(const std::filesystem::path& file);
[[nodiscard]] std::optional<std::string> fault_of_key(const std::filesystem::path& key,
                                                      const std::filesystem::path& chain);

/// What OpenSSL finds wrong with this chain of a server: "certificate has expired
/// (subject CN=server, issuer ...)". Without a path to roots, OpenSSL's default roots are
/// used.
[[nodiscard]] std::optional<std::string> fault_of_server(std::string_view chain, const std::filesystem::path& roots);

/// "has expired (subject CN=client, issuer ...)", "is valid now (...)".
/// @throws std::system_error if the file cannot be read.
[[nodiscard]] std::string description_of_first(const std::filesystem::path& chain);

}  // namespace conn_grpc::detail::pem
