// SPDX-License-Identifier: BSL-1.0
// The schema with descriptors. They are in a descriptor pool that only this file knows.
#include "schema.hpp"

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/struct.pb.h>

#include <stdexcept>

namespace conn_grpc::config {
namespace {

namespace pb = google::protobuf;

// protoc's FileDescriptorSet of the schema.
// NOLINTNEXTLINE(*-avoid-c-arrays): the included file decides its size
constexpr unsigned char serialised[] = {
#include "conn_grpc_config.inc"
};

struct schema {
  schema() {
    // The pool of generated types has what the schema imports, once that has been linked
    // and used.
    (void)pb::Duration::descriptor();
    (void)pb::Struct::descriptor();
    pb::FileDescriptorSet set;
    if (!set.ParseFromArray(serialised, sizeof serialised) || pool.BuildFile(set.file(0)) == nullptr)
      throw std::logic_error("conn_grpc: the schema of configuration files cannot be read");
    factory.SetDelegateToGeneratedFactory(true);
  }

  pb::DescriptorPool pool{pb::DescriptorPool::generated_pool()};
  pb::DynamicMessageFactory factory{&pool};
};

// Never destroyed: other static objects may load options.
schema& known() {
  static auto* const made = new schema;
  return *made;
}

}  // namespace

const pb::Descriptor& type(const std::string& name) { return *known().pool.FindMessageTypeByName(name); }

std::unique_ptr<pb::Message> make(const pb::Descriptor& type) {
  return std::unique_ptr<pb::Message>(known().factory.GetPrototype(&type)->New());
}

}  // namespace conn_grpc::config
