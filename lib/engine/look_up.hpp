// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/event_loop.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <grpc/event_engine/event_engine.h>

#include <absl/strings/string_view.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace conn_grpc::engine {

/// A name and a port, as gRPC writes them: `host:port`, `[address]:port`, or without a port.
struct host_and_port {
  host_and_port(absl::string_view name, absl::string_view default_port);
  std::string host, port;
};

/// Look-ups of names by Asio's resolver, which calls getaddrinfo() on a thread of the
/// context's. That cannot be interrupted, so what is cancelled calls back at once, and its
/// result is dropped later.
///
/// *Thread safety*: all functions.
class look_ups final : public event_loop::user, public std::enable_shared_from_this<look_ups> {
 public:
  using callback = EventEngine::DNSResolver::LookupHostnameCallback;

  explicit look_ups(std::shared_ptr<event_loop> loop) : loop_(std::move(loop)) {}

  void start() { registration_.emplace(loop_, weak_from_this()); }
  void look_up(callback called, host_and_port what);
  void cancel(const absl::Status& why) noexcept;

  void detached() noexcept override;
  void begin() noexcept override;

 private:
  struct one {
    callback called;
    host_and_port what;
    bool begun = false;
  };
  void found(std::uint64_t number, boost::system::error_code error,
             const asio::ip::tcp::resolver::results_type& results);

  const std::shared_ptr<event_loop> loop_;
  std::optional<event_loop::registration> registration_;
  std::mutex mutex_;
  std::optional<asio::ip::tcp::resolver> resolver_;
  std::unordered_map<std::uint64_t, one> pending_;
  std::uint64_t last_ = 0;
  bool detached_ = false;
};

/// As gRPC's interface. SRV and TXT records are UNIMPLEMENTED: gRPC asks for them only for
/// grpclb, and for service configs in DNS, which are off unless they are turned on.
class dns_resolver final : public EventEngine::DNSResolver {
 public:
  explicit dns_resolver(std::shared_ptr<event_loop> loop);
  ~dns_resolver() override;
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
