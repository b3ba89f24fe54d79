// SPDX-License-Identifier: BSL-1.0
#include "core/member_set.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <memory>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "support/test_members.hpp"

using conn_grpc::errc;
using members = conn_grpc::test::test_member_set<int>;

namespace {

std::string take(members& r, int times) {
  std::string taken;
  for (int i = 0; i < times; ++i) {
    const auto next = r.pick();
    taken += next ? std::to_string(**next) : "-";
  }
  return taken;
}

void insert(members& r, int slot) {
  conn_grpc::test::insert(r, static_cast<std::size_t>(slot), std::make_shared<int>(slot));
}

}  // namespace

TEST_CASE("the error of an empty set depends on what was called before", "[members]") {
  members r;
  CHECK(r.pick().error() == errc::not_started);
  r.open();
  CHECK(r.pick().error() == errc::not_connected);
  r.close();
  CHECK(r.pick().error() == errc::stopped);
  r.open();
  insert(r, 1);
  CHECK(r.pick().error() == errc::stopped);
  CHECK(r.size() == 0);
}

TEST_CASE("members take turns in the order of slots", "[members]") {
  members r;
  r.open();
  insert(r, 3);
  insert(r, 1);
  insert(r, 2);
  CHECK(r.size() == 3);
  const std::string taken = take(r, 6);
  CHECK((taken == "123123" || taken == "231231" || taken == "312312"));
}

TEST_CASE("after a change the turns continue with the next member", "[members]") {
  members r;
  r.open();
  for (int slot = 1; slot <= 4; ++slot) insert(r, slot);
  CHECK(take(r, 2) == "12");
  r.erase(1, 0);
  CHECK(take(r, 4) == "3423");
  r.erase(4, 0);  // its turn was next
  CHECK(take(r, 3) == "232");
  insert(r, 1);
  insert(r, 4);
  CHECK(take(r, 5) == "34123");
  r.erase(7, 0);  // it was never inserted
  CHECK(take(r, 2) == "41");
}

TEST_CASE("over k x size picks each member is picked k times", "[members]") {
  members r;
  r.open();
  for (int slot = 0; slot < 7; ++slot) insert(r, slot);
  (void)take(r, 3);
  std::array<int, 7> used{};
  for (int i = 0; i < 7 * 1'000; ++i) ++used[static_cast<std::size_t>(**r.pick())];
  for (const int count : used) CHECK(count == 1'000);
}

TEST_CASE("erase removes only the connection with the given id", "[members]") {
  members r;
  r.open();
  conn_grpc::test::insert(r, 0, std::make_shared<int>(1), 1);
  conn_grpc::test::insert(r, 0, std::make_shared<int>(2), 2);  // replaces the first
  CHECK(r.size() == 1);
  CHECK(take(r, 2) == "22");
  r.erase(0, 1);
  CHECK(take(r, 1) == "2");
  const auto picked = r.pick_member();
  CHECK(picked->member->id == 2);
  r.erase(0, 2);
  CHECK(r.pick().error() == errc::not_connected);
  CHECK(*picked->channel == 2);
}

TEST_CASE("erase_unless_last leaves the only member", "[members]") {
  members r;
  r.open();
  insert(r, 0);
  insert(r, 1);
  r.erase_unless_last(0, 0);
  CHECK(r.size() == 1);
  r.erase_unless_last(1, 0);
  CHECK(r.size() == 1);
  CHECK(r.pick());
}

TEST_CASE("an erased member is released at once", "[members]") {
  members r;
  r.open();
  auto value = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = value;
  conn_grpc::test::insert(r, 0, std::move(value));
  auto taken = *r.pick();
  r.erase(0, 0);
  CHECK_FALSE(watch.expired());
  taken.reset();
  CHECK(watch.expired());

  value = std::make_shared<int>(0);
  conn_grpc::test::insert(r, 0, value);
  CHECK(value.use_count() == 2);
  r.close();
  CHECK(value.use_count() == 1);
}

TEST_CASE("a member that a reader uses is kept until the next change after the reader has left", "[members]") {
  members r;
  r.open();
  const auto value = std::make_shared<int>(0);
  conn_grpc::test::insert(r, 0, value);
  {
    const conn_grpc::core::read_section inside;  // as if preempted in the middle of pick()
    r.erase(0, 0);
    CHECK(value.use_count() == 2);
    insert(r, 1);
    CHECK(value.use_count() == 2);
  }
  insert(r, 2);
  CHECK(value.use_count() == 1);
}

TEST_CASE("a thread that ends leaves its record to the next thread", "[members]") {
  members r;
  r.open();
  insert(r, 1);
  const conn_grpc::core::reader_record* first = nullptr;
  const conn_grpc::core::reader_record* second = nullptr;
  std::thread([&] { (void)r.pick(), first = conn_grpc::core::this_thread_record; }).join();
  std::thread([&] { (void)r.pick(), second = conn_grpc::core::this_thread_record; }).join();
  CHECK(first != nullptr);
  CHECK(first == second);
}

TEST_CASE("a reader that was inside a section at a fork does not block reclamation in the child", "[members]") {
  members r;
  r.open();
  const auto value = std::make_shared<int>(0);
  conn_grpc::test::insert(r, 0, value);
  std::latch is_inside(1), forked(1);
  std::thread reader([&] {
    const conn_grpc::core::read_section inside;  // as if preempted in the middle of pick()
    is_inside.count_down();
    forked.wait();
  });
  is_inside.wait();
  const pid_t child = ::fork();
  if (child == 0) {
    r.erase(0, 0);
    const bool released = r.reclaim() && value.use_count() == 1;
    insert(r, 1);
    const bool works = take(r, 2) == "11";
    ::_exit(released && works ? 0 : 1);
  }
  r.erase(0, 0);
  CHECK(value.use_count() == 2);  // in the parent the reader is still inside
  forked.count_down();
  reader.join();
  CHECK(r.reclaim());
  CHECK(value.use_count() == 1);
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
