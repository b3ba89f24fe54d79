// SPDX-License-Identifier: BSL-1.0
#include "grpc/unsent.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace conn_grpc::detail {
namespace {

bool contains(std::string_view text, std::string_view words) { return text.find(words) != std::string_view::npos; }

// Once an RPC has a connection, its peer is a socket's address. Before that, gRPC names the
// target, which may look like an address, too: then the RPC is not made again.
bool had_connection(const std::string& peer) {
  constexpr std::array<std::string_view, 5> of_sockets{"ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:"};
  return std::ranges::any_of(of_sockets, [&](std::string_view scheme) { return peer.starts_with(scheme); });
}

// A server may send such words, too: a proxy that forwards the status of its own backend.
// Some versions of gRPC say "from peer" of their own failures, and name no peer then. 1.83
// says nothing of where a status is from.
bool is_from_server(const std::string& text, const ::grpc::ClientContext& context) {
  const std::string debug_text = context.debug_error_string();
  if (debug_text == "UNAVAILABLE:" + text) return had_connection(context.peer());
  constexpr std::string_view words = "Error received from peer";
  const auto at = debug_text.find(words);
  if (at == std::string_view::npos) return false;
  const auto peer = debug_text.find_first_not_of(' ', at + words.size());
  return peer != std::string_view::npos && debug_text[peer] != '{';
}

}  // namespace

bool is_certainly_unsent(const ::grpc::Status& status, const ::grpc::ClientContext& context) {
  if (status.error_code() != ::grpc::StatusCode::UNAVAILABLE) return false;
  const std::string text = status.error_message();
  // The whole text, because a gateway may add such words to its own. gRPC 1.51 queues RPCs
  // above the server's limit, and 1.83 is refused.
  if (text == "Received RST_STREAM with error code 7" ||
      text == "Stream removed (RST_STREAM (Received RST_STREAM with error code 7))")
    return true;
  constexpr std::array<std::string_view, 4> words{"failed to connect to all addresses",
                                                  "connections to all backends failing", "DNS resolution failed",
                                                  "empty address list"};
  return std::ranges::any_of(words, [&](std::string_view w) { return contains(text, w); }) &&
         !is_from_server(text, context);
}

}  // namespace conn_grpc::detail
