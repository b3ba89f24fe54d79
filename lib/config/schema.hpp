// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>

namespace conn_grpc::config {

/// The type of this name in the schema, "conn_grpc.config.File". Thread-safe.
[[nodiscard]] const google::protobuf::Descriptor& type(const std::string& name);

/// An empty message of this type, with reflection.
[[nodiscard]] std::unique_ptr<google::protobuf::Message> make(const google::protobuf::Descriptor& type);

}  // namespace conn_grpc::config
