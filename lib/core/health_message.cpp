// SPDX-License-Identifier: BSL-1.0
#include "core/health_message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace conn_grpc::core {
namespace {

// A field begins with a varint: its number, shifted by three, and its wire type.
enum wire_type : std::uint64_t { varint = 0, fixed64 = 1, counted = 2, fixed32 = 5 };
constexpr std::uint64_t first_field = 1U << 3U;
constexpr unsigned bits_per_byte = 7;

void append_varint(std::string& to, std::uint64_t value) {
  constexpr std::uint64_t more = 1U << bits_per_byte;
  for (; value >= more; value >>= bits_per_byte) to += static_cast<char>(value % more + more);
  to += static_cast<char>(value);
}

std::optional<std::uint64_t> take_varint(std::string_view& from) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += bits_per_byte) {
    const auto byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80U) return value;
  }
  return std::nullopt;
}

/// Skips the value of a field.
bool skip(std::string_view& from, std::uint64_t type) {
  std::optional<std::uint64_t> size;
  if (type == fixed64) size = 8;
  if (type == fixed32) size = 4;
  if (type == counted) size = take_varint(from);
  if (type == varint) return take_varint(from).has_value();
  if (!size || *size > from.size()) return false;
  from.remove_prefix(static_cast<std::size_t>(*size));
  return true;
}

}  // namespace

std::string health_request(std::string_view service) {
  std::string bytes;
  append_varint(bytes, first_field | counted);
  append_varint(bytes, service.size());
  return bytes.append(service);
}

serving_status health_response(std::string_view bytes) {
  std::uint64_t status = 0;
  while (!bytes.empty()) {
    const auto tag = take_varint(bytes);
    if (!tag) return serving_status::unknown;
    if (*tag == (first_field | varint)) {
      const auto value = take_varint(bytes);
      if (!value) return serving_status::unknown;
      status = *value;
    } else if (!skip(bytes, *tag % first_field)) {
      return serving_status::unknown;
    }
  }
  return status <= 3 ? static_cast<serving_status>(status) : serving_status::unknown;
}

}  // namespace conn_grpc::core
