// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/tls.hpp>

#include "core/checks.hpp"
#include "grpc/grpc_compat.hpp"
#include "grpc/tls_diagnosis.hpp"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <utility>

namespace conn_grpc {
namespace {

namespace experimental = ::grpc::experimental;
using detail::provider_ptr;

void check(const tls_files& files) {
  using core::check;
  check(files.cert_chain.empty() || !files.private_key.empty(), "cert_chain", "needs private_key");
  check(files.private_key.empty() || !files.cert_chain.empty(), "private_key", "needs cert_chain");
  check(files.refresh_interval >= std::chrono::seconds(1), "refresh_interval",
        "must be at least 1 s, is " + std::to_string(files.refresh_interval.count()) + " s");
  if (const auto fault = detail::fault_of(files)) check(false, fault->field, fault->why);
}

// gRPC aborts when it is given no file to watch.
provider_ptr make_provider(const tls_files& files) {
  if (files.root_certs.empty() && files.cert_chain.empty()) return nullptr;
  constexpr std::chrono::seconds::rep most = std::numeric_limits<unsigned>::max();
  const auto interval = static_cast<unsigned>(std::min(files.refresh_interval.count(), most));
  return std::make_shared<experimental::FileWatcherCertificateProvider>(files.private_key, files.cert_chain,
                                                                        files.root_certs, interval);
}

experimental::TlsChannelCredentialsOptions watching_roots(const tls_files& files, const provider_ptr& provider) {
  experimental::TlsChannelCredentialsOptions options;
  if (!files.root_certs.empty()) detail::take_roots_from(options, provider);
  return options;
}

// gRPC asks it after the handshake, and before anything is sent.
class witness final : public experimental::ExternalCertificateVerifier {
 public:
  explicit witness(std::filesystem::path root_certs) : root_certs_(std::move(root_certs)) {}

  bool Verify(experimental::TlsCustomVerificationCheckRequest* request, std::function<void(::grpc::Status)>,
              ::grpc::Status* verdict) override {
    const auto chain = request->peer_cert_full_chain();
    *verdict = {::grpc::StatusCode::UNAUTHENTICATED, detail::testimony({chain.data(), chain.size()}, root_certs_)};
    return true;
  }
  void Cancel(experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  std::filesystem::path root_certs_;
};

// Without the client's certificate: it is none of the business of a server that was refused.
std::shared_ptr<::grpc::ChannelCredentials> make_inquiry(const tls_files& files, const provider_ptr& provider) {
  auto options = watching_roots(files, provider);
  options.set_verify_server_certs(false);  // the witness lets nobody through
  options.set_certificate_verifier(experimental::ExternalCertificateVerifier::Create<witness>(files.root_certs));
  return experimental::TlsCredentials(options);
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> tls_credentials(const tls_files& files) {
  check(files);
  const auto provider = make_provider(files);
  auto options = watching_roots(files, provider);
  if (!files.cert_chain.empty()) detail::take_identity_from(options, provider);
  return detail::with_background(experimental::TlsCredentials(options), {files, make_inquiry(files, provider)});
}

}  // namespace conn_grpc
