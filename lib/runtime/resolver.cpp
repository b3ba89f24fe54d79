// SPDX-License-Identifier: BSL-1.0
#include "runtime/resolver.hpp"

#include "runtime/quiet_thread.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

namespace conn_grpc::runtime {
namespace {

std::string text_of(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(family, address, text.data(), text.size()) ? text.data() : std::string();
}

/// A gRPC target is a URI, in which "%25" is the "%" before the zone of a link-local
/// address. Empty for an address that is neither IPv4 nor IPv6.
std::string target_of(const sockaddr& address, std::uint16_t port) {
  const std::string end = ":" + std::to_string(port);
  if (address.sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return "ipv4:" + text_of(AF_INET, &v4.sin_addr) + end;
  }
  if (address.sa_family != AF_INET6) return {};
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  const std::string zone = v6.sin6_scope_id == 0 ? "" : "%25" + std::to_string(v6.sin6_scope_id);
  return "ipv6:[" + text_of(AF_INET6, &v6.sin6_addr) + zone + "]" + end;
}

bool is_ip_address(const std::string& host) {
  in_addr v4{};
  return host.find(':') != std::string::npos || ::inet_pton(AF_INET, host.c_str(), &v4) == 1;
}

std::string failure_of(int code) {
  return code == EAI_SYSTEM ? std::generic_category().message(errno) : ::gai_strerror(code);
}

resolution look_up(const std::string& host, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;                           // each address once
  if (!is_ip_address(host)) wanted.ai_flags = AI_ADDRCONFIG;  // no IPv6 addresses on a machine without IPv6
  addrinfo* all = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &wanted, &all); code != 0)
    return {.failure = failure_of(code)};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(all, &::freeaddrinfo);
  resolution found;
  for (const auto* at = all; at; at = at->ai_next)
    if (auto target = target_of(*at->ai_addr, port); !target.empty()) found.addresses.push_back(std::move(target));
  if (found.addresses.empty()) found.failure = "there is no IP address";
  return found;
}

}  // namespace

resolver system_resolver(std::string host, std::uint16_t port) {
  return [host = std::move(host), port](const std::function<void(resolution)>& done) {
    try {
      quiet_thread([host, port, done] { done(look_up(host, port)); }).detach();
    } catch (const std::system_error& e) {
      done({.failure = std::string("cannot start a thread: ") + e.what()});
    }
  };
}

}  // namespace conn_grpc::runtime
