// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/static_lifecycle.hpp>

#include "core/unqualified_name.hpp"

#include <boost/core/demangle.hpp>

#include <mutex>
#include <typeindex>
#include <unordered_map>

namespace conn_grpc::detail {

std::string unqualified_name(const std::type_info& type) {
  return core::unqualified_name(boost::core::demangle(type.name()));
}

// A number of its own, because type.name() is the same for all types of that name in unnamed namespaces.
std::string key_of(const std::type_info& type) {
  static std::mutex mutex;
  static auto& numbers = *new std::unordered_map<std::type_index, std::size_t>;
  const std::lock_guard lock(mutex);
  return std::string(1, '\0') + std::to_string(numbers.try_emplace(type, numbers.size()).first->second);
}

}  // namespace conn_grpc::detail
