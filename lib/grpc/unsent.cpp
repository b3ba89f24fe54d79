// SPDX-License-Identifier: BSL-1.0
#include "grpc/unsent.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace conn_grpc::detail {
namespace {

bool contains(std::string_view text, std::string_view words) { return text.find(words) != std::string_view::npos; }

// A server may send such words, too: a proxy that forwards the status of its own backend.
bool is_from_server(std::string_view debug_text) { return contains(debug_text, "Error received from peer"); }

}  // namespace

bool is_certainly_unsent(const ::grpc::Status& status, std::string_view debug_text) {
  if (status.error_code() != ::grpc::StatusCode::UNAVAILABLE) return false;
  const std::string text = status.error_message();
  // gRPC 1.51 does not refuse: it queues RPCs above the server's limit.
  if (contains(text, "RST_STREAM") && (contains(text, "error code 7") || contains(text, "REFUSED_STREAM"))) return true;
  constexpr std::array<std::string_view, 4> words{"failed to connect to all addresses",
                                                  "connections to all backends failing", "DNS resolution failed",
                                                  "empty address list"};
  return !is_from_server(debug_text) &&
         std::ranges::any_of(words, [&](std::string_view w) { return contains(text, w); });
}

}  // namespace conn_grpc::detail
