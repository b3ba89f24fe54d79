// SPDX-License-Identifier: BSL-1.0
// Readers take what writers insert and erase, all the time. A snapshot that is deleted
// too early is a use after free. A snapshot that is published wrongly is a race. The
// sanitizers find both.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "core/published.hpp"
#include "support/catch.hpp"
#include "support/test_members.hpp"

namespace {

/// Waits until the number is that high. Spins first, so that both threads go on at once.
void await(const std::atomic<int>& number, int high) {
  for (int spins = 0; number < high; ++spins)
    if (spins > 20'000) std::this_thread::yield();
}

constexpr std::uint64_t alive = 0x0123456789abcdef;

struct canary {
  std::uint64_t state = alive;
  ~canary() { state = 0; }
};

}  // namespace

TEST_CASE("a reader never picks a destroyed channel", "[members]") {
  constexpr std::size_t slots = 4;
  constexpr int changes = 2'000;
  conn_grpc::test::test_member_set<canary> r;
  r.open();
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> taken = 0;
  std::atomic<std::uint64_t> dead = 0;

  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      do {
        const auto next = r.pick();
        if (!next) continue;
        ++taken;
        if ((*next)->state != alive) ++dead;
      } while (!done);
    });
  std::vector<std::thread> writers;
  for (std::size_t w = 0; w < 2; ++w)
    writers.emplace_back([&, w] {
      for (int i = 0; i < changes; ++i) {
        const std::size_t slot = w * slots / 2 + static_cast<std::size_t>(i) % (slots / 2);
        conn_grpc::test::insert(r, slot, std::make_shared<canary>());
        std::this_thread::yield();
        r.erase(slot, 0);
      }
    });
  for (auto& t : writers) t.join();
  done = true;
  for (auto& t : readers) t.join();
  CHECK(dead == 0);
  CHECK(taken > 0);
}

// The test of the turnstile in grace_period.hpp: a reader enters its section in the same
// moment in which a writer replaces the value. Either the reader finds the new value, or the
// writer finds the reader.
TEST_CASE("a value is not destroyed while a reader that enters uses it", "[members]") {
  constexpr int rounds = 1'000'000;
  struct numbered {
    explicit numbered(int its_number, std::atomic<int>& counter) : number(its_number), destroyed(counter) {}
    ~numbered() { destroyed = number; }
    numbered(const numbered&) = delete;
    numbered& operator=(const numbered&) = delete;
    int number;
    std::atomic<int>& destroyed;
  };
  std::atomic<int> destroyed{-1};
  conn_grpc::core::published<numbered> value(std::make_unique<const numbered>(0, destroyed));
  std::atomic<int> reader_is_at{0};
  std::atomic<int> writer_is_at{0};
  std::atomic<int> replaced{0};
  int dead = 0;

  std::atomic<int> last{rounds};
  std::thread writer([&] {
    for (int round = 1; round <= last; ++round) {
      writer_is_at = round;
      await(reader_is_at, round);
      value.replace([&](const numbered&) { return std::make_unique<numbered>(round, destroyed); });
      replaced = round;
    }
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (int round = 1; round <= last; ++round) {
    if (std::chrono::steady_clock::now() > end) last = round;
    reader_is_at = round;
    await(writer_is_at, round);
    value.read([&](const numbered& now, std::uint64_t) {
      const bool is_old = now.number < round;
      await(replaced, round);  // and what is not used any more has been destroyed
      dead += is_old && destroyed == round - 1 ? 1 : 0;
    });
  }
  writer.join();
  CHECK(dead == 0);
}

TEST_CASE("turns are exact with several threads", "[members]") {
  conn_grpc::test::test_member_set<std::atomic<int>> r;
  r.open();
  std::vector<std::shared_ptr<std::atomic<int>>> used;
  for (std::size_t slot = 0; slot < 5; ++slot)
    conn_grpc::test::insert(r, slot, used.emplace_back(std::make_shared<std::atomic<int>>(0)));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) ++**r.pick();
    });
  for (auto& t : threads) t.join();
  for (const auto& count : used) CHECK(*count == 4'000);
}
