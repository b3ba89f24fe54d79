// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/static_lifecycle.hpp>

#include "core/unqualified_name.hpp"

#include <boost/core/demangle.hpp>

namespace conn_grpc::detail {

std::string unqualified_name(const std::type_info& type) {
  return core::unqualified_name(boost::core::demangle(type.name()));
}

std::string key_of(const std::type_info& type) { return std::string(1, '\0') + type.name(); }

}  // namespace conn_grpc::detail
