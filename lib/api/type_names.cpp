// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/static_lifecycle.hpp>

#include "core/unqualified_name.hpp"

#include <boost/core/demangle.hpp>

#include <cstdint>

namespace conn_grpc::detail {

std::string unqualified_name(const std::type_info& type) {
  return core::unqualified_name(boost::core::demangle(type.name()));
}

// Not its name, which types of unnamed namespaces in two files share, and with clang even compare equal by.
std::string key_of(const std::type_info& type) {
  std::string key(1, '\0');  // not `+`, of which g++ 12 warns with -O3
  key += std::to_string(reinterpret_cast<std::uintptr_t>(&type));
  return key;
}

}  // namespace conn_grpc::detail
