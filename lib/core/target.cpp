// SPDX-License-Identifier: BSL-1.0
#include "core/target.hpp"

#include "core/option_checks.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace conn_grpc::core {
namespace {

constexpr auto npos = std::string_view::npos;

constexpr std::array<std::string_view, 9> schemes_of_grpc{
    "dns", "ipv4", "ipv6", "unix", "unix-abstract", "vsock", "xds", "google-c2p", "google-c2p-experimental"};

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && std::ranges::equal(text.substr(text.size() - end.size()), end, {}, lower, lower);
}

/// Calls `each` with the parts between commas, without blanks around them.
template <class Each>
void split(std::string_view list, Each each) {
  while (true) {
    const auto comma = list.find(',');
    auto part = list.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    each(part);
    if (comma == npos) return;
    list.remove_prefix(comma + 1);
  }
}

/// The port is null when there is none: "host", "[::1]", "::1".
std::pair<std::string_view, std::optional<std::string_view>> host_and_port(std::string_view text) {
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const auto bracket = text.find(']');
    colon = bracket == npos || text.substr(bracket + 1, 1) != ":" ? npos : bracket + 1;
  } else if (text.find(':') != colon) {
    colon = npos;
  }
  if (colon == npos) return {text, std::nullopt};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

bool is_port(std::string_view text) {
  if (text.empty() || text == "http" || text == "https") return true;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return is_digit(text.front()) && error == std::errc() && end == text.data() + text.size() && number <= 65'535;
}

/// The URI of the proxy and the name of the setting that has it: the first that is set,
/// in gRPC's order.
std::pair<std::string, std::string> proxy_uri(const proxy_configuration& configuration) {
  if (configuration.in_arguments) return {*configuration.in_arguments, "grpc.http_proxy"};
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"})
    if (const char* value = configuration.environment(name)) return {value, name};
  return {};
}

bool is_exempt(std::string_view path, const proxy_configuration& configuration) {
  const char* list = configuration.environment("no_grpc_proxy");
  if (!list) list = configuration.environment("no_proxy");
  if (!list) return false;
  const auto host = host_and_port(path).first;
  bool exempt = false;
  split(list, [&](std::string_view end) { exempt = exempt || (!end.empty() && ends_with_ignoring_case(host, end)); });
  return exempt;
}

}  // namespace

target_parts parts_of(std::string_view target) {
  const auto colon = target.find(':');
  if (colon == npos) return {.scheme = "dns", .path = target};
  const auto scheme = target.substr(0, colon);
  auto rest = target.substr(colon + 1);
  const bool has_authority = rest.starts_with("//");
  if (!has_authority && std::ranges::find(schemes_of_grpc, scheme) == schemes_of_grpc.end())
    return {.scheme = "dns", .path = target};
  if (has_authority) rest.remove_prefix((std::min)(rest.find('/', 2), rest.size()));
  if (rest.starts_with('/')) rest.remove_prefix(1);
  return {.scheme = scheme, .path = rest};
}

std::optional<host_port> host_port_of(std::string_view target) {
  constexpr std::string_view dns = "dns:";
  constexpr std::string_view without_server = "dns:///";
  if (target.starts_with(dns) && target.substr(dns.size()).starts_with("//") && !target.starts_with(without_server))
    return std::nullopt;
  const auto [scheme, path] = parts_of(target);
  auto [host, port] = host_and_port(path);
  if (scheme != "dns" || path.find_first_of("/,") != npos || !port || port->empty()) return std::nullopt;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return std::nullopt;
  std::uint16_t number = *port == "https" ? 443 : 80;
  if (is_digit(port->front())) std::from_chars(port->data(), port->data() + port->size(), number);
  return host_port{.host = std::string(host), .port = number, .authority = std::string(path)};
}

void check_target(std::string_view field, std::string_view target) {
  check_not_empty(field, target);
  const auto [scheme, path] = parts_of(target);
  if (scheme != "dns" && scheme != "ipv4" && scheme != "ipv6") return;
  split(path, [&](std::string_view address) {
    const auto port = host_and_port(address).second;
    if (port && !is_port(*port))
      reject(field, "the port must be from 0 to 65535, http or https, is " + std::string(*port) + " in " +
                        std::string(target));
  });
}

std::string proxy_of(std::string_view target, const proxy_configuration& configuration) {
  const auto [scheme, path] = parts_of(target);
  if (!configuration.enabled || scheme == "unix" || scheme == "vsock" || path.empty()) return {};
  const auto [uri, origin] = proxy_uri(configuration);
  constexpr std::string_view http = "http://";
  if (!uri.starts_with(http) || is_exempt(path, configuration)) return {};
  auto authority = std::string_view(uri).substr(http.size());
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (const auto at = authority.rfind('@'); at != npos) authority.remove_prefix(at + 1);
  return authority.empty() ? std::string() : "the proxy " + std::string(authority) + " of " + origin;
}

}  // namespace conn_grpc::core
