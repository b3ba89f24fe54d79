// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/event_loop.hpp"

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <grpc/event_engine/event_engine.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace conn_grpc::engine {

/// A name and a port, as gRPC writes them: `host:port`, `[address]:port`, or without a port.
struct host_and_port {
  host_and_port(absl::string_view name, absl::string_view default_port);
  std::string host, port;
};

using found_addresses = absl::StatusOr<std::vector<EventEngine::ResolvedAddress>>;

/// Calls getaddrinfo(), for one name after the other, on a thread that exists only while
/// there are names to look up. Nothing waits for that thread, which getaddrinfo() may hold
/// for long. Thread-safe.
class look_up_thread {
 public:
  using callback = std::function<void(found_addresses)>;

  /// The callback is called on that thread.
  static void look_up(host_and_port what, callback called);
  /// Without a thread: an address, or an error that is known at once. Empty for a name.
  static std::optional<found_addresses> without_thread(const host_and_port& what);
};

/// The look-ups of one resolver. What is cancelled calls back at once, and its result is
/// dropped later.
///
/// *Thread safety*: all functions.
class look_ups final : public std::enable_shared_from_this<look_ups> {
 public:
  using callback = EventEngine::DNSResolver::LookupHostnameCallback;

  explicit look_ups(std::shared_ptr<event_loop> loop) : loop_(std::move(loop)) {}

  void look_up(callback called, const host_and_port& what);
  void cancel() noexcept;

 private:
  void end(std::uint64_t number, found_addresses result);

  const std::shared_ptr<event_loop> loop_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, callback> pending_;
  std::uint64_t last_ = 0;
};

/// As gRPC's interface. SRV and TXT records are UNIMPLEMENTED: gRPC asks for them only for
/// grpclb, and for service configs in DNS, which are off unless they are turned on.
class dns_resolver final : public EventEngine::DNSResolver {
 public:
  explicit dns_resolver(std::shared_ptr<event_loop> loop)
      : loop_(std::move(loop)), look_ups_(std::make_shared<look_ups>(loop_)) {}
  ~dns_resolver() override { look_ups_->cancel(); }
  dns_resolver(const dns_resolver&) = delete;
  dns_resolver& operator=(const dns_resolver&) = delete;

  void LookupHostname(LookupHostnameCallback on_resolve, absl::string_view name,
                      absl::string_view default_port) override;
  void LookupSRV(LookupSRVCallback on_resolve, absl::string_view name) override;
  void LookupTXT(LookupTXTCallback on_resolve, absl::string_view name) override;

 private:
  const std::shared_ptr<event_loop> loop_;
  const std::shared_ptr<look_ups> look_ups_;
};

}  // namespace conn_grpc::engine
