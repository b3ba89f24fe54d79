// SPDX-License-Identifier: BSL-1.0
#include "core/rotation.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "support/catch.hpp"

using conn_grpc::errc;
using rotation = conn_grpc::core::rotation<std::shared_ptr<int>>;

namespace {

std::string take(rotation& r, int times) {
  std::string taken;
  for (int i = 0; i < times; ++i) {
    const auto next = r.next();
    taken += next ? std::to_string(**next) : "-";
  }
  return taken;
}

void insert(rotation& r, int slot) { r.insert(static_cast<std::size_t>(slot), std::make_shared<int>(slot)); }

}  // namespace

TEST_CASE("what an empty rotation says depends on its age", "[rotation]") {
  rotation r;
  CHECK(r.next().error() == errc::not_started);
  r.open();
  CHECK(r.next().error() == errc::not_connected);
  r.close();
  CHECK(r.next().error() == errc::stopped);
  r.open();
  insert(r, 1);
  CHECK(r.next().error() == errc::stopped);
  CHECK(r.size() == 0);
}

TEST_CASE("members take turns in the order of slots", "[rotation]") {
  rotation r;
  r.open();
  insert(r, 3);
  insert(r, 1);
  insert(r, 2);
  CHECK(r.size() == 3);
  const std::string taken = take(r, 6);
  CHECK((taken == "123123" || taken == "231231" || taken == "312312"));
}

TEST_CASE("a change goes on with the next in line", "[rotation]") {
  rotation r;
  r.open();
  for (int slot = 1; slot <= 4; ++slot) insert(r, slot);
  CHECK(take(r, 2) == "12");
  r.erase(1);
  CHECK(take(r, 4) == "3423");
  r.erase(4);  // whose turn it was
  CHECK(take(r, 3) == "232");
  insert(r, 1);
  insert(r, 4);
  CHECK(take(r, 5) == "34123");
  r.erase(7);  // never was there
  CHECK(take(r, 2) == "41");
}

TEST_CASE("over k x size gets each member is used k times", "[rotation]") {
  rotation r;
  r.open();
  for (int slot = 0; slot < 7; ++slot) insert(r, slot);
  (void)take(r, 3);
  std::array<int, 7> used{};
  for (int i = 0; i < 7 * 1'000; ++i) ++used[static_cast<std::size_t>(**r.next())];
  for (const int count : used) CHECK(count == 1'000);
}

TEST_CASE("what is erased is let go of at once", "[rotation]") {
  rotation r;
  r.open();
  auto value = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = value;
  r.insert(0, std::move(value));
  auto taken = *r.next();
  r.erase(0);
  CHECK_FALSE(watch.expired());
  taken.reset();
  CHECK(watch.expired());

  value = std::make_shared<int>(0);
  r.insert(0, value);
  CHECK(value.use_count() == 2);
  r.close();
  CHECK(value.use_count() == 1);
}

TEST_CASE("what a reader is looking at is kept until the next change after it has left", "[rotation]") {
  rotation r;
  r.open();
  const auto value = std::make_shared<int>(0);
  r.insert(0, value);
  {
    const conn_grpc::core::read_section inside;  // as if preempted in the middle of next()
    r.erase(0);
    CHECK(value.use_count() == 2);
    insert(r, 1);
    CHECK(value.use_count() == 2);
  }
  insert(r, 2);
  CHECK(value.use_count() == 1);
}

TEST_CASE("a thread that ends leaves its record to the next", "[rotation]") {
  rotation r;
  r.open();
  insert(r, 1);
  const conn_grpc::core::reader_record* first = nullptr;
  const conn_grpc::core::reader_record* second = nullptr;
  std::thread([&] { (void)r.next(), first = conn_grpc::core::this_thread_record; }).join();
  std::thread([&] { (void)r.next(), second = conn_grpc::core::this_thread_record; }).join();
  CHECK(first != nullptr);
  CHECK(first == second);
}

TEST_CASE("a reader that was inside at a fork keeps nothing in the child", "[rotation]") {
  rotation r;
  r.open();
  const auto value = std::make_shared<int>(0);
  r.insert(0, value);
  std::latch is_inside(1), forked(1);
  std::thread reader([&] {
    const conn_grpc::core::read_section inside;  // as if it had lost the processor in the middle of next()
    is_inside.count_down();
    forked.wait();
  });
  is_inside.wait();
  const pid_t child = ::fork();
  if (child == 0) {
    r.erase(0);
    const bool released = r.reclaim() && value.use_count() == 1;
    insert(r, 1);
    const bool works = take(r, 2) == "11";
    ::_exit(released && works ? 0 : 1);
  }
  r.erase(0);
  CHECK(value.use_count() == 2);  // in the parent it is still inside
  forked.count_down();
  reader.join();
  CHECK(r.reclaim());
  CHECK(value.use_count() == 1);
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
