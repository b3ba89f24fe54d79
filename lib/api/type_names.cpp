// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/lookup.hpp>

#include "core/unqualified_name.hpp"

#include <boost/core/demangle.hpp>

#include <cstdint>

namespace conn_grpc::detail {

std::string unqualified_name(const std::type_info& type) {
  return core::unqualified_name(boost::core::demangle(type.name()));
}

// The key is not the type's name. Types of unnamed namespaces in two files can share a
// name, and with clang they even compare equal by it.
std::string key_of(const std::type_info& type) {
  std::string key(1, '\0');  // not `+`, because g++ 12 warns about it with -O3
  key += std::to_string(reinterpret_cast<std::uintptr_t>(&type));
  return key;
}

}  // namespace conn_grpc::detail
