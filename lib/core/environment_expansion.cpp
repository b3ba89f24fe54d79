// SPDX-License-Identifier: BSL-1.0
#include "core/environment_expansion.hpp"

#include "core/option_checks.hpp"

#include <cstdlib>

namespace conn_grpc::core {
namespace {

// std::isalpha would depend on the locale.
bool is_name(std::string_view text) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  constexpr std::string_view digits = "0123456789";
  return !text.empty() && letters.find(text[0]) != std::string_view::npos &&
         text.find_first_not_of(std::string(letters).append(digits)) == std::string_view::npos;
}

/// @param expression what is between the braces.
std::string value_of(std::string_view expression, std::string_view field) {
  const auto operation = expression.find(":-");
  const std::string name(expression.substr(0, operation));
  check(is_name(name), field, "\"${" + std::string(expression) + "}\" does not name an environment variable");

  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): the header says so
  if (operation == std::string_view::npos) {
    if (value == nullptr) reject(field, "the environment variable " + name + " is not set");
    return value;
  }
  const std::string_view fallback = expression.substr(operation + 2);
  check(fallback.find("${") == std::string_view::npos, field, "a default cannot have another ${ in it");
  return value != nullptr && *value != '\0' ? value : std::string(fallback);
}

}  // namespace

std::string expand_environment(std::string_view text, std::string_view field) {
  const std::string whole(text);
  std::string result;
  while (true) {
    const auto start = text.find("${");
    result.append(text.substr(0, start));
    if (start == std::string_view::npos) return result;
    const bool literal = start > 0 && text[start - 1] == '$';
    text.remove_prefix(start + 2);
    if (literal) {
      result += '{';  // the first $ of $${ is already in the result
      continue;
    }
    const auto end = text.find('}');
    check(end != std::string_view::npos, field, "a ${ without its } in \"" + whole + '"');
    result += value_of(text.substr(0, end), field);
    text.remove_prefix(end + 1);
  }
}

}  // namespace conn_grpc::core
