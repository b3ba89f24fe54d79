// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/member_set.hpp"

namespace conn_grpc::test {

/// A member with an object of the test in place of a channel.
template <class T>
struct test_member {
  std::size_t slot;
  std::uint64_t id;
  std::shared_ptr<T> channel;
};

template <class T>
using test_member_set = core::member_set<test_member<T>>;

template <class T>
void insert(test_member_set<T>& into, std::size_t slot, std::shared_ptr<T> channel, std::uint64_t id = 0) {
  into.insert(std::make_shared<const test_member<T>>(test_member<T>{slot, id, std::move(channel)}));
}

}  // namespace conn_grpc::test
