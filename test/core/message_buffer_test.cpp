// SPDX-License-Identifier: BSL-1.0
#include "core/message_buffer.hpp"

#include <cstddef>
#include <limits>

#include "support/catch.hpp"

using buffer = conn_grpc::core::message_buffer<4>;

TEST_CASE("messages leave the slots in the order in which they came, round and round", "[message_buffer]") {
  buffer waiting;
  CHECK(waiting.empty());
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(waiting.next() == (2 * i) % 4);
    waiting.push(1);
    CHECK(waiting.next() == (2 * i + 1) % 4);
    waiting.push(1);
    CHECK(waiting.front() == (2 * i) % 4);
    waiting.pop();
    CHECK(waiting.front() == (2 * i + 1) % 4);
    waiting.pop();
    CHECK(waiting.empty());
  }
}

TEST_CASE("a buffer is full when its slots are, and half empty with half of them", "[message_buffer]") {
  buffer waiting;
  for (int i = 0; i < 4; ++i) {
    CHECK(waiting.has_room());
    CHECK(waiting.is_half_empty() == (i <= 2));
    waiting.push(0);
  }
  CHECK_FALSE(waiting.has_room());
  waiting.pop();
  CHECK(waiting.has_room());
  CHECK_FALSE(waiting.is_half_empty());
  waiting.clear();
  CHECK(waiting.empty());
  CHECK(waiting.has_room());
}

TEST_CASE("a buffer is full when its messages are large", "[message_buffer]") {
  buffer waiting;
  waiting.push(buffer::most_bytes / 2);
  CHECK(waiting.has_room());
  CHECK(waiting.is_half_empty());
  waiting.push(buffer::most_bytes);
  CHECK_FALSE(waiting.has_room());
  waiting.pop();
  CHECK_FALSE(waiting.has_room());
  CHECK_FALSE(waiting.is_half_empty());
  waiting.pop();
  CHECK(waiting.is_half_empty());
  waiting.push((std::numeric_limits<std::size_t>::max)() / 2);
  CHECK_FALSE(waiting.has_room());
  waiting.pop();
  CHECK(waiting.has_room());
}

TEST_CASE("messages that wait alone use one slot", "[message_buffer]") {
  buffer waiting;
  for (int i = 0; i < 3; ++i) {
    CHECK(waiting.begin() == 0);
    waiting.push(1);
    CHECK(waiting.front() == 0);
    waiting.pop();
  }
  CHECK(waiting.begin() == 0);
  waiting.push(1);
  const auto slot = waiting.begin();
  CHECK(slot == 1);
  waiting.pop();
  CHECK(waiting.next() == slot);  // what was begun keeps its slot
  waiting.push(1);
  CHECK(waiting.front() == slot);
}
