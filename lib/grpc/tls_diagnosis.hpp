// SPDX-License-Identifier: BSL-1.0
// The reason why a TLS connection was not made, where gRPC 1.51 does not say it.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <conn_grpc/options.hpp>
#include <conn_grpc/tls.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace conn_grpc::runtime {
class file_reader;
}

namespace conn_grpc::detail {

/// What is wrong with the files: "root_certs", "cannot read ...".
struct file_fault {
  std::string field;
  std::string why;
};
[[nodiscard]] std::optional<file_fault> fault_of(const tls_files& files);

/// What is kept with the credentials that `tls_credentials` makes.
struct tls_background {
  tls_files files;
  /// The same credentials, except that they refuse every server and say what is wrong
  /// with its certificate.
  std::shared_ptr<::grpc::ChannelCredentials> certificate_fetch;
  std::shared_ptr<runtime::file_reader> reader;
};

[[nodiscard]] std::shared_ptr<::grpc::ChannelCredentials> with_background(
    std::shared_ptr<::grpc::ChannelCredentials> credentials, tls_background background);

/// What OpenSSL finds wrong with the server's certificate. `tls_diagnosis` finds these
/// words again in gRPC's reason.
[[nodiscard]] std::string verification_report(std::string_view server_chain, const std::filesystem::path& root_certs);

/// Explains why attempts of a pool's channels failed. Thread-safe. Reads files on a
/// thread of its own, and says so when that takes too long.
class tls_diagnosis {
 public:
  /// Null unless the credentials have a background.
  [[nodiscard]] static std::shared_ptr<const tls_diagnosis> of(const channel_options& options,
                                                               const ::grpc::ChannelArguments& arguments);

  tls_diagnosis(tls_background background, const ::grpc::ChannelArguments& arguments, bool may_fetch);

  /// A channel to `address` that will fail with a better reason. Null when no better
  /// reason can be had.
  [[nodiscard]] channel_ptr certificate_fetch(const std::string& address, const std::string& reason) const;

  /// Calls `then` with `reason` and its cause: at once, or on the completion thread, half
  /// a second later at most.
  /// @param found the failure of the certificate fetch, if there was one.
  void explain(const std::string& reason, const std::string& found, const std::function<void(std::string)>& then) const;

  const tls_background background_;
  const ::grpc::ChannelArguments arguments_;
  const bool may_fetch_;
};

}  // namespace conn_grpc::detail
