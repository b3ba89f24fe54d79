// SPDX-License-Identifier: BSL-1.0
#include "config/configuration_file.hpp"

#include "core/environment_expansion.hpp"
#include "core/option_checks.hpp"
#include "grpc/grpc_compat.hpp"
#include "schema.hpp"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>
#include <system_error>
#include <vector>

namespace conn_grpc::detail {
namespace {

namespace pb = google::protobuf;
using core::check;

std::string contents(const std::filesystem::path& file) {
  constexpr std::size_t most = std::size_t{1} << 20;
  std::string text(most + 1, '\0');
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  if (stream) stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  // A folder can be opened, but not read.
  check(stream.is_open() && !stream.bad(), file.string(), "cannot be read: " + std::generic_category().message(errno));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  check(text.size() <= most, file.string(), "is larger than 1 MiB");
  return text;
}

// protobuf's reader (3.21) limits the depth of objects, but not of lists. It takes 10 s
// for 20,000 nested lists, and minutes for more.
bool is_nested_deeper(std::string_view json, int most) {
  int depth = 0;
  char quote = '\0';
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quote != '\0') {
      if (c == '\\') ++i;
      if (c == quote) quote = '\0';
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '{' || c == '[') {
      if (++depth > most) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

/// Without the spaces that protobuf puts into its messages at random, so that nobody
/// depends on them.
std::string with_single_spaces(std::string_view text) {
  std::string result;
  for (const char c : text)
    if (c != ' ' || !result.ends_with(' ')) result += c;
  return result;
}

pb::Struct parsed(const std::filesystem::path& file) {
  const std::string text = contents(file);
  check(!is_nested_deeper(text, 20), file.string(), "is nested deeper than 20 levels");
  pb::Struct root;
  const auto status = pb::util::JsonStringToMessage(text, &root);
  check(status.ok(), file.string(), "cannot be parsed: " + with_single_spaces(std::string(status.message())));
  return root;
}

std::string member(const std::string& path, const std::string& name) { return path + "." + name; }

std::string listed(std::vector<std::string> names) {
  std::ranges::sort(names);
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : text;
}

const pb::FieldDescriptor& field_of(const pb::Descriptor& type, const std::string& name, const std::string& path) {
  const auto* field = type.FindFieldByName(name);
  if (field != nullptr) return *field;
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(type.field_count()));
  for (int i = 0; i < type.field_count(); ++i) names.push_back(name_of(*type.field(i)));
  core::reject(path, "there is no such field; there are: " + listed(names));
}

const pb::Struct& object(const pb::Value& value, const std::string& path) {
  check(value.has_struct_value(), path, "must be an object");
  return value.struct_value();
}

// protobuf's reader reports invalid UTF-8 in a file. For values that are set afterwards,
// protobuf's writer drops it and reports nothing.
void check_utf8(std::string text, const std::string& path) {
  std::ranges::replace_if(text, [](char c) { return c == '"' || c == '\\' || (c >= 0 && c < ' '); }, ' ');
  pb::Value ignored;
  check(pb::util::JsonStringToMessage('"' + text + '"', &ignored).ok(), path, "must be UTF-8");
}

pb::Value expanded(const pb::Value& value, const std::string& path) {
  check(!value.has_null_value(), path, "must not be null");
  check(!value.has_struct_value(), path, "must not be an object");
  check(!value.has_list_value(), path, "must not be a list");
  if (!value.has_string_value()) return value;
  pb::Value result;
  result.set_string_value(core::expand_environment(value.string_value(), path));
  check(result.string_value().find('\0') == std::string::npos, path, "must not have a NUL in it");
  check_utf8(result.string_value(), path);
  return result;
}

// An argument has the type that it has in JSON. There the environment can only be part of
// a string, so an expanded string that is an integer becomes a number.
pb::Value expanded_argument(const pb::Value& value, const std::string& path) {
  pb::Value result = expanded(value, path);
  if (value.string_value().find("${") == std::string::npos) return result;
  std::string_view digits = result.string_value();
  if (digits.starts_with('-')) digits.remove_prefix(1);
  const bool is_integer = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  if (is_integer) result.set_number_value(std::strtod(result.string_value().c_str(), nullptr));
  return result;
}

// Reads one value at a time, because protobuf's error does not say where in a message the
// wrong value is.
void read_value(const std::string& name, const pb::Value& value, pb::Message& message, const std::string& path) {
  const auto& field = *message.GetDescriptor()->FindFieldByName(name);
  pb::Struct single;
  auto& place = (*single.mutable_fields())[name];
  (field.is_repeated() ? *place.mutable_list_value()->add_values() : place) = expanded(value, path);
  std::string json;
  const std::unique_ptr<pb::Message> read(message.New());
  auto status = pb::util::MessageToJsonString(single, &json);
  if (status.ok()) status = pb::util::JsonStringToMessage(json, read.get());
  std::string reason(status.message());
  const std::string prefix = "(" + name + (field.is_repeated() ? "[0]): " : "): ");
  if (reason.starts_with(prefix)) reason.erase(0, prefix.size());
  if (!status.ok() && field.message_type() != nullptr)
    reason = "must be seconds as in \"0.5s\", is " + json.substr(json.find(':') + 1, json.size() - json.find(':') - 2);
  check(status.ok(), path, reason);
  message.MergeFrom(*read);
}

void read_list(const std::string& name, const pb::Value& list, pb::Message& message, const std::string& path) {
  check(list.has_list_value(), path, "must be a list");
  for (int i = 0; i < list.list_value().values_size(); ++i)
    read_value(name, list.list_value().values(i), message, path + "[" + std::to_string(i) + "]");
}

void read_object(const pb::Struct& from, pb::Message& message, const std::string& path) {
  for (const auto& [name, value] : from.fields()) {
    const std::string inner = member(path, name);
    const auto& field = field_of(*message.GetDescriptor(), name, inner);
    const auto* type = field.message_type();
    if (field.is_repeated()) {
      read_list(name, value, message, inner);
      continue;
    }
    if (type == nullptr || type->full_name() == "google.protobuf.Duration") {
      read_value(name, value, message, inner);
      continue;
    }
    pb::Message& part = *message.GetReflection()->MutableMessage(&message, &field);
    auto* arguments = dynamic_cast<pb::Struct*>(&part);
    if (arguments == nullptr) {
      read_object(object(value, inner), part, inner);
      continue;
    }
    for (const auto& [key, argument] : object(value, inner).fields())
      (*arguments->mutable_fields())[key] = expanded_argument(argument, member(inner, key));
  }
}

}  // namespace

std::string read_entry(const std::filesystem::path& file, const std::string& section, const std::string& name,
                       pb::MessageLite& into) {
  const pb::Struct root = parsed(file);
  const std::string in_file = file.string() + ": ";
  for (const auto& [key, value] : root.fields())
    if (!key.starts_with("x-")) (void)field_of(config::type("conn_grpc.config.File"), key, in_file + key);

  const auto found = root.fields().find(section);
  const pb::Struct entries = found == root.fields().end() ? pb::Struct() : object(found->second, in_file + section);
  std::vector<std::string> names;
  for (const auto& [key, value] : entries.fields()) names.push_back(key);
  std::string path = in_file + section + "." + name;
  check(entries.fields().contains(name), path, "there is no such entry; there are: " + listed(names));
  const auto message = config::make(config::type(std::string(into.GetTypeName())));
  read_object(object(entries.fields().at(name), path), *message, path);
  check(into.ParseFromString(message->SerializeAsString()), path, "cannot be read");
  return path;
}

}  // namespace conn_grpc::detail
