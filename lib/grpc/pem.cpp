// SPDX-License-Identifier: BSL-1.0
#include "grpc/pem.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <vector>

namespace conn_grpc::detail::pem {
namespace {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using bio_ptr = std::unique_ptr<BIO, freed_by<&BIO_free_all>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<&EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, freed_by<&X509_free>>;
using store_ptr = std::unique_ptr<X509_STORE, freed_by<&X509_STORE_free>>;
using verification_ptr = std::unique_ptr<X509_STORE_CTX, freed_by<&X509_STORE_CTX_free>>;
using chain_ptr = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * chain) { sk_X509_free(chain); })>;
using file_ptr = std::unique_ptr<std::FILE, decltype([](std::FILE* file) { std::fclose(file); })>;

/// Restores OpenSSL's queue of errors, which belongs to the thread and not to the
/// library.
class quiet {
 public:
  quiet() { ERR_set_mark(); }
  ~quiet() { ERR_pop_to_mark(); }
  quiet(const quiet&) = delete;
  quiet& operator=(const quiet&) = delete;
};

std::string contents(const std::filesystem::path& path) {
  const auto check = [&](bool ok) {
    const int error = errno;
    if (!ok) throw std::system_error(error, std::generic_category(), "cannot read " + path.string());
  };
  const file_ptr file(std::fopen(path.c_str(), "rb"));
  check(file != nullptr);
  std::string text;
  std::array<char, 4096> buffer{};
  while (std::feof(file.get()) == 0) {
    const auto size = std::fread(buffer.data(), 1, buffer.size(), file.get());
    check(std::ferror(file.get()) == 0);
    text.append(buffer.data(), size);
  }
  return text;
}

bio_ptr reader(std::string_view text) { return bio_ptr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// Without this password OpenSSL would ask the terminal for one.
void* no_password() {
  static char empty = '\0';
  return &empty;
}

std::vector<certificate_ptr> certificates(std::string_view text) {
  const quiet errors;
  std::vector<certificate_ptr> found;
  const auto from = reader(text);
  while (certificate_ptr next{PEM_read_bio_X509(from.get(), nullptr, nullptr, no_password())})
    found.push_back(std::move(next));
  return found;
}

/// What `print(BIO*)` prints.
template <class Print>
std::string printed(Print print) {
  const bio_ptr to(BIO_new(BIO_s_mem()));
  print(to.get());
  char* text = nullptr;
  const auto size = BIO_get_mem_data(to.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string description(const X509* certificate) {
  const auto name = [](const X509_NAME* n) {
    return printed([n](BIO* to) { X509_NAME_print_ex(to, n, 0, XN_FLAG_RFC2253); });
  };
  const auto time = [](const ASN1_TIME* t) { return printed([t](BIO* to) { ASN1_TIME_print(to, t); }); };
  return "subject " + name(X509_get_subject_name(certificate)) + ", issuer " + name(X509_get_issuer_name(certificate)) +
         ", valid from " + time(X509_get0_notBefore(certificate)) + " to " + time(X509_get0_notAfter(certificate));
}

}  // namespace

std::optional<std::string> fault_of_certificates(const std::filesystem::path& file) try {
  if (certificates(contents(file)).empty()) return "no certificate in " + file.string();
  return {};
} catch (const std::system_error& e) {
  return e.what();
}

std::optional<std::string> fault_of_key(const std::filesystem::path& key, const std::filesystem::path& chain) try {
  const quiet errors;
  const auto text = contents(key);
  const key_ptr parsed(PEM_read_bio_PrivateKey(reader(text).get(), nullptr, nullptr, no_password()));
  if (!parsed) return "no key, or one with a passphrase, in " + key.string();
  const auto owners = certificates(contents(chain));
  if (owners.empty() || X509_check_private_key(owners.front().get(), parsed.get()) != 1)
    return key.string() + " is not the key of the first certificate in " + chain.string();
  return {};
} catch (const std::system_error& e) {
  return e.what();
}

std::optional<std::string> fault_of_server(std::string_view chain, const std::filesystem::path& roots) {
  const quiet errors;
  const auto sent = certificates(chain);
  if (sent.empty()) return "none was sent";
  const chain_ptr intermediates(sk_X509_new_null());
  for (const auto& certificate : sent) sk_X509_push(intermediates.get(), certificate.get());

  const store_ptr store(X509_STORE_new());
  if (roots.empty())
    X509_STORE_set_default_paths(store.get());
  else
    X509_STORE_load_locations(store.get(), roots.c_str(), nullptr);
  const verification_ptr verification(X509_STORE_CTX_new());
  X509_STORE_CTX_init(verification.get(), store.get(), sent.front().get(), intermediates.get());
  X509_STORE_CTX_set_default(verification.get(), "ssl_server");
  if (X509_verify_cert(verification.get()) == 1) return {};

  const auto* culprit = X509_STORE_CTX_get_current_cert(verification.get());
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(verification.get())) +
         (" (" + description(culprit ? culprit : sent.front().get()) + ")");
}

std::string description_of_first(const std::filesystem::path& chain) {
  const auto found = certificates(contents(chain));
  if (found.empty()) return "holds no certificate";
  const auto* first = found.front().get();
  std::string validity = "is valid now";
  if (X509_cmp_current_time(X509_get0_notAfter(first)) < 0) validity = "has expired";
  if (X509_cmp_current_time(X509_get0_notBefore(first)) > 0) validity = "is not valid yet";
  return validity + " (" + description(first) + ")";
}

}  // namespace conn_grpc::detail::pem
