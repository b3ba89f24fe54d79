// SPDX-License-Identifier: BSL-1.0
#include "grpc/tls_diagnosis.hpp"

#include "grpc/completion_thread.hpp"
#include "grpc/pem.hpp"
#include "runtime/file_reader.hpp"

#include <grpcpp/alarm.h>
#include <grpcpp/create_channel.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

namespace conn_grpc::detail {
namespace {

constexpr std::string_view refused = "certificate verify failed";
// gRPC 1.83 goes on after these words: with a full stop, or with a cause.
constexpr std::string_view no_handshaker = "Failed to create security handshaker";
// With TLS 1.3 a client's handshake succeeds even when its certificate is refused. Then
// the connection closes. For gRPC this is like any other connection that closes. 1.83
// puts these words in brackets.
constexpr std::array<std::string_view, 3> closed{"Socket closed", "Connection reset by peer", "Broken pipe"};
constexpr const char* too_long = "the files could not be read within half a second";
constexpr std::string_view verification_report_begins = "the server's certificate: ";

std::string about_the_files(const tls_files& files) {
  if (const auto fault = fault_of(files)) return fault->field + ": " + fault->why;
  return "the files are good now, and will be read within " + std::to_string(files.refresh_interval.count()) + " s";
}

std::string about_the_client(const tls_files& files) try {
  const auto& chain = files.cert_chain;
  if (chain.empty()) return "as servers do that require a client certificate; there is none";
  return "as servers do that refuse a client certificate; " + chain.string() + " " + pem::description_of_first(chain);
} catch (const std::system_error& e) {
  return e.what();
}

/// Completes, on the completion thread, with what was read, or with a text that reading
/// takes too long.
class reading final : public pending_completion {
 public:
  [[nodiscard]] bool is_of_call() const noexcept override { return true; }  // any thread cancels the alarm

  using explanation = std::function<void(std::string)>;

  static void start(runtime::file_reader& reader, std::function<std::string()> read, const std::string& reason,
                    const explanation& then) {
    const auto shared = std::make_shared<state>();
    // The channel is not dropped yet. gRPC's own next attempt on it comes after 0.8 s at
    // the earliest.
    const auto deadline = std::chrono::system_clock::now() + std::chrono::milliseconds(500);
    completion_thread::instance().submit(
        std::make_unique<reading>(shared, reason, then),
        [&](::grpc::CompletionQueue* queue, void* tag) { shared->alarm->Set(queue, deadline, tag); });
    const bool runs = reader.run([shared, read = std::move(read)] { shared->finish(read()); });
    if (!runs) shared->finish(too_long);
  }

  struct state {
    void finish(std::string text) {
      {
        const std::lock_guard lock(mutex);
        found = std::move(text);
        if (alarm) alarm->Cancel();
      }
      completion_thread::instance().poll_soon();
    }

    std::mutex mutex;
    std::string found = too_long;
    std::unique_ptr<::grpc::Alarm> alarm = std::make_unique<::grpc::Alarm>();  // null once it is over
  };

  reading(std::shared_ptr<state> shared, std::string reason, explanation then)
      : shared_(std::move(shared)), reason_(std::move(reason)), then_(std::move(then)) {}

  void complete(bool) noexcept override {
    std::string found;
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->alarm.reset();
      found = shared_->found;
    }
    then_(reason_ + " (" + found + ")");
  }

 private:
  std::shared_ptr<state> shared_;
  std::string reason_;
  explanation then_;
};

// A deleter is the only thing that can be attached to a shared_ptr, and found again.
struct deleter {
  std::shared_ptr<::grpc::ChannelCredentials> credentials;
  tls_background background;
  void operator()(::grpc::ChannelCredentials*) {
    credentials.reset();
    background.certificate_fetch.reset();
  }
};

}  // namespace

std::optional<file_fault> fault_of(const tls_files& files) {
  if (!files.root_certs.empty())
    if (auto why = pem::fault_of_certificates(files.root_certs))
      return file_fault{.field = "root_certs", .why = *std::move(why)};
  if (files.cert_chain.empty()) return {};
  if (auto why = pem::fault_of_certificates(files.cert_chain))
    return file_fault{.field = "cert_chain", .why = *std::move(why)};
  if (auto why = pem::fault_of_key(files.private_key, files.cert_chain))
    return file_fault{.field = "private_key", .why = *std::move(why)};
  return {};
}

std::shared_ptr<::grpc::ChannelCredentials> with_background(std::shared_ptr<::grpc::ChannelCredentials> credentials,
                                                            tls_background background) {
  auto* const raw = credentials.get();
  return {raw, deleter{.credentials = std::move(credentials), .background = std::move(background)}};
}

std::string verification_report(std::string_view server_chain, const std::filesystem::path& root_certs) {
  const auto fault = pem::fault_of_server(server_chain, root_certs);
  return std::string(verification_report_begins) + fault.value_or("accepted by OpenSSL when asked again");
}

std::shared_ptr<const tls_diagnosis> tls_diagnosis::of(const channel_options& options,
                                                       const ::grpc::ChannelArguments& arguments) {
  const auto* found = std::get_deleter<deleter>(options.credentials);
  if (!found) return nullptr;
  // The user's `create_channel` is called on the strand only, and need not lead to the
  // address.
  return std::make_shared<const tls_diagnosis>(found->background, arguments, !options.create_channel);
}

tls_diagnosis::tls_diagnosis(tls_background background, const ::grpc::ChannelArguments& arguments, bool may_fetch)
    : background_(std::move(background)), arguments_(arguments), may_fetch_(may_fetch) {}

channel_ptr tls_diagnosis::certificate_fetch(const std::string& address, const std::string& reason) const {
  // A later gRPC appends the cause to these words. Then no fetch is needed.
  if (!may_fetch_ || !reason.ends_with(refused)) return nullptr;
  return ::grpc::CreateCustomChannel(address, background_.certificate_fetch, arguments_);
}

void tls_diagnosis::explain(const std::string& reason, const std::string& found,
                            const std::function<void(std::string)>& then) const {
  if (const auto at = found.find(verification_report_begins); at != std::string::npos)
    return then(reason + ": " + found.substr(at + verification_report_begins.size()));
  const auto has = [&](std::string_view words) { return reason.find(words) != std::string::npos; };
  if (has(no_handshaker))
    reading::start(*background_.reader, [files = background_.files] { return about_the_files(files); }, reason, then);
  else if (std::ranges::any_of(closed, has))
    reading::start(*background_.reader, [files = background_.files] { return about_the_client(files); }, reason, then);
  else
    then(reason);
}

}  // namespace conn_grpc::detail
