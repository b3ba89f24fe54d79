// SPDX-License-Identifier: BSL-1.0
// Who is told when.
#include "runtime/waiting_room.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

using conn_grpc::error_code;

namespace {

struct waiter {
  std::function<void()> told;
  void complete(error_code) const { told(); }
};

using room = conn_grpc::runtime::waiting_room<waiter, error_code, std::chrono::steady_clock::time_point>;

const auto nothing_yet = [](bool) { return std::optional<error_code>(); };
const auto at_once = [](bool) { return std::optional(error_code()); };
const auto success = [] { return error_code(); };

}  // namespace

TEST_CASE("who comes while those who waited are being told is told after them", "[waiting]") {
  room r;
  std::vector<std::string> told;
  const auto say = [&](const char* name) { return waiter{[&told, name] { told.emplace_back(name); }}; };
  (void)r.join(1, {[&] {
                 told.emplace_back("first");
                 CHECK(r.anyone());
                 CHECK_FALSE(r.join(3, say("newcomer"), {}, at_once).answer);
               }},
               {}, nothing_yet);
  (void)r.join(2, say("second"), {}, nothing_yet);
  r.serve(success);
  CHECK(told == std::vector<std::string>{"first", "second", "newcomer"});
  CHECK_FALSE(r.anyone());
}

TEST_CASE("newcomers who keep coming do not keep who is telling", "[waiting]") {
  room r(0, 3);
  int queued = 0;
  std::function<void()> come_back = [&] {
    REQUIRE(queued < 10);
    if (!r.join(2, {come_back}, {}, at_once).answer) ++queued;
  };
  (void)r.join(1, {come_back}, {}, nothing_yet);
  r.serve(success);
  CHECK(queued == 3);
  CHECK_FALSE(r.anyone());
}

TEST_CASE("nobody overtakes who waited, however many come", "[waiting]") {
  room r(0, 0);
  int queued = 0;
  const waiter newcomer{[] {}};
  (void)r.join(1, {[&] {
                 for (int i = 0; i < 10; ++i)
                   if (!r.join(3, newcomer, {}, at_once).answer) ++queued;
               }},
               {}, nothing_yet);
  (void)r.join(2, {[] {}}, {}, nothing_yet);
  r.serve(success);
  CHECK(queued == 10);
}

TEST_CASE("who leaves the line while newcomers are being told is told before those who come later", "[waiting]") {
  room r;
  std::vector<std::string> told;
  const auto say = [&](const char* name) { return waiter{[&told, name] { told.emplace_back(name); }}; };
  const waiter newcomer{[&] {
    told.emplace_back("newcomer");
    (void)r.join(3, say("waited"), {}, nothing_yet);
    r.cancel(3);
    CHECK(r.anyone());
    CHECK_FALSE(r.join(4, say("later"), {}, at_once).answer);
  }};
  (void)r.join(1, {[&] { (void)r.join(2, newcomer, {}, at_once); }}, {}, nothing_yet);
  r.serve(success);
  CHECK(told == std::vector<std::string>{"newcomer", "waited", "later"});
}
