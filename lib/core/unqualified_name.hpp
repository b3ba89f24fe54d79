// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace conn_grpc::core {

/// "pool_of<ns::greeter>" for "(anonymous namespace)::main()::pool_of<ns::greeter>".
[[nodiscard]] inline std::string unqualified_name(std::string_view type) {
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < type.size(); ++i) {
    const char c = type[i];
    if (c == '<' || c == '(' || c == '{') ++depth;
    if (c == '>' || c == ')' || c == '}') --depth;
    if (depth == 0 && c == ':') begin = i + 1;
  }
  return std::string(type.substr(begin));
}

}  // namespace conn_grpc::core
