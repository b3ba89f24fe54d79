// SPDX-License-Identifier: BSL-1.0
#include "engine/look_up.hpp"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace conn_grpc::engine {
namespace {

using addresses = std::vector<EventEngine::ResolvedAddress>;

absl::Status not_found(const std::string& name, const std::string& why) {
  return absl::UnavailableError(absl::StrCat("DNS resolution failed for ", name, ": ", why));
}

absl::Status has_ended() {
  return absl::CancelledError("the io_context or its event_engine_scope has ended");
}

}  // namespace

host_and_port::host_and_port(absl::string_view name, absl::string_view default_port) : port(default_port) {
  if (name.starts_with('[')) {
    const auto end = name.find(']');
    host = name.substr(1, end == absl::string_view::npos ? end : end - 1);
    if (end != absl::string_view::npos && name.substr(end).starts_with("]:")) port = name.substr(end + 2);
    return;
  }
  const auto colon = name.find(':');
  const bool has_port = colon != absl::string_view::npos && name.rfind(':') == colon;  // more: an IPv6 address
  host = name.substr(0, has_port ? colon : absl::string_view::npos);
  if (has_port) port = name.substr(colon + 1);
}

void look_ups::look_up(callback called, host_and_port what) {
  {
    const std::lock_guard lock(mutex_);
    if (!detached_) pending_.emplace(++last_, one{std::move(called), std::move(what)});
  }
  if (called) return loop_->run(task::function([called = std::move(called)]() mutable { called(has_ended()); }));
  loop_->begin_in_context(shared_from_this());
}

void look_ups::begin() noexcept {
  const std::lock_guard lock(mutex_);
  auto* const context = loop_->context();
  if (detached_ || context == nullptr) return;
  if (!resolver_) resolver_.emplace(*context);
  for (auto& [number, look_up] : pending_) {
    if (std::exchange(look_up.begun, true)) continue;
    event_loop::initiate_uncounted(*context, [&](auto wrap) {
      resolver_->async_resolve(
          look_up.what.host, look_up.what.port, asio::ip::tcp::resolver::flags(),
          wrap([self = shared_from_this(), number](boost::system::error_code error,
                                                   const asio::ip::tcp::resolver::results_type& results) {
            self->loop_->in_turn([&] { self->found(number, error, results); });
          }));
    });
  }
}

void look_ups::found(std::uint64_t number, boost::system::error_code error,
                     const asio::ip::tcp::resolver::results_type& results) {
  std::optional<one> ended;
  {
    const std::lock_guard lock(mutex_);
    if (auto node = pending_.extract(number)) ended.emplace(std::move(node.mapped()));
  }
  if (!ended) return;  // cancelled
  addresses found;
  for (const auto& result : results) {
    const auto endpoint = result.endpoint();
    found.emplace_back(endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  }
  if (error || found.empty()) {
    const auto name = absl::StrCat(ended->what.host, ":", ended->what.port);
    return ended->called(not_found(name, error ? error.message() : "no addresses"));
  }
  ended->called(std::move(found));
}

void look_ups::cancel(const absl::Status& why) noexcept {
  std::unordered_map<std::uint64_t, one> cancelled;
  {
    const std::lock_guard lock(mutex_);
    cancelled.swap(pending_);
    resolver_.reset();
  }
  for (auto& [number, look_up] : cancelled)
    loop_->run(task::function([called = std::move(look_up.called), why]() mutable { called(why); }));
}

void look_ups::detached() noexcept {
  {
    const std::lock_guard lock(mutex_);
    detached_ = true;
  }
  cancel(has_ended());
}

dns_resolver::dns_resolver(std::shared_ptr<event_loop> loop)
    : loop_(std::move(loop)), look_ups_(std::make_shared<look_ups>(loop_)) {
  look_ups_->start();
}

dns_resolver::~dns_resolver() { look_ups_->cancel(absl::CancelledError("the resolver was destroyed")); }

void dns_resolver::LookupHostname(LookupHostnameCallback on_resolve, absl::string_view name,
                                  absl::string_view default_port) {
  host_and_port what(name, default_port);
  if (what.port.empty()) {
    auto error = absl::InvalidArgumentError(absl::StrCat("no port in name ", name));
    return loop_->run(task::function(
        [called = std::move(on_resolve), error = std::move(error)]() mutable { called(std::move(error)); }));
  }
  look_ups_->look_up(std::move(on_resolve), std::move(what));
}

void dns_resolver::LookupSRV(LookupSRVCallback on_resolve, absl::string_view) {
  loop_->run(task::function([called = std::move(on_resolve)]() mutable {
    called(absl::UnimplementedError("conn_grpc's event engine does not look up SRV records"));
  }));
}

void dns_resolver::LookupTXT(LookupTXTCallback on_resolve, absl::string_view) {
  loop_->run(task::function([called = std::move(on_resolve)]() mutable {
    called(absl::UnimplementedError("conn_grpc's event engine does not look up TXT records"));
  }));
}

}  // namespace conn_grpc::engine
