// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/tls.hpp>

#include "core/option_checks.hpp"
#include "grpc/grpc_compat.hpp"
#include "grpc/tls_diagnosis.hpp"
#include "runtime/file_reader.hpp"

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

// gRPC aborts when a provider has no file to watch.
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

// gRPC asks it after the handshake, and before anything is sent. The roots are in a file,
// which may be slow to read. All pools may wait for the thread that asks. So the answer
// comes from the reader's thread.
class reporting_verifier final : public experimental::ExternalCertificateVerifier {
 public:
  reporting_verifier(std::filesystem::path root_certs, std::shared_ptr<runtime::file_reader> reader)
      : root_certs_(std::move(root_certs)), reader_(std::move(reader)) {}

  bool Verify(experimental::TlsCustomVerificationCheckRequest* request, std::function<void(::grpc::Status)> answer,
              ::grpc::Status* verdict) override {
    const auto chain = request->peer_cert_full_chain();
    if (reader_->run([answer = std::move(answer), chain = std::string(chain.data(), chain.size()),
                      roots = root_certs_] { answer(refused(detail::verification_report(chain, roots))); }))
      return false;
    *verdict = refused({});
    return true;
  }

  // gRPC holds a mutex of the handshake here, which an answer would lock again. So only
  // the reader answers.
  void Cancel(experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  static ::grpc::Status refused(const std::string& why) { return {::grpc::StatusCode::UNAUTHENTICATED, why}; }

  std::filesystem::path root_certs_;
  std::shared_ptr<runtime::file_reader> reader_;
};

// Without the client's certificate: a server that was refused must not receive it.
std::shared_ptr<::grpc::ChannelCredentials> make_certificate_fetch(
    const tls_files& files, const provider_ptr& provider, const std::shared_ptr<runtime::file_reader>& reader) {
  auto options = watching_roots(files, provider);
  options.set_verify_server_certs(false);  // the verifier refuses every peer
  options.set_certificate_verifier(
      experimental::ExternalCertificateVerifier::Create<reporting_verifier>(files.root_certs, reader));
  return experimental::TlsCredentials(options);
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> tls_credentials(const tls_files& files) {
  check(files);
  const auto provider = make_provider(files);
  auto options = watching_roots(files, provider);
  if (!files.cert_chain.empty()) detail::take_identity_from(options, provider);
  const auto reader = std::make_shared<runtime::file_reader>();
  return detail::with_background(
      experimental::TlsCredentials(options),
      {.files = files, .certificate_fetch = make_certificate_fetch(files, provider, reader), .reader = reader});
}

}  // namespace conn_grpc
