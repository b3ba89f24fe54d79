// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <memory>
#include <utility>

#include "runtime/connector.hpp"

namespace conn_grpc::test {

/// An object in place of a grpc::Channel. The runtime never uses it as a grpc::Channel.
template <class T>
runtime::channel_ptr fake_channel(std::shared_ptr<T> object) {
  auto* const channel = reinterpret_cast<::grpc::Channel*>(object.get());
  return {std::move(object), channel};
}

/// The object of a fake channel.
template <class T>
T& object_of(const runtime::channel_ptr& fake) {
  return *reinterpret_cast<T*>(fake.get());
}

}  // namespace conn_grpc::test
