// SPDX-License-Identifier: BSL-1.0
// A benchmark with several questions, each of which can be asked alone.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace conn_grpc::bench {

/// Answers the questions with these names, in the order of their names. Without names it
/// answers all of them.
inline void answer(const std::map<std::string, std::function<void()>>& questions,
                   const std::vector<std::string>& names) {
  for (const auto& name : names)
    if (!questions.contains(name)) throw std::invalid_argument("no question " + name);
  for (const auto& [name, ask] : questions)
    if (names.empty() || std::ranges::find(names, name) != names.end()) ask();
}

}  // namespace conn_grpc::bench
