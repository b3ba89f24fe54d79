// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/message_lite.h>

#include <filesystem>
#include <string>

namespace conn_grpc::detail {

/// Reads the object `name` in the object `section` of a JSON file into `into`, a message
/// of the schema, and expands the environment. In the rest of the file it checks only
/// that it is JSON, and the names of the sections.
/// @returns how errors name that object: "FILE: section.name".
/// @throws boost::system::system_error with errc::invalid_options and a text that names
/// the file and the field.
[[nodiscard]] std::string read_entry(const std::filesystem::path& file, const std::string& section,
                                     const std::string& name, google::protobuf::MessageLite& into);

}  // namespace conn_grpc::detail
