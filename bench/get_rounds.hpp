// SPDX-License-Identifier: BSL-1.0
// One round of gets: on one thread, or on several that begin at once, called plainly or
// awaited.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <future>
#include <limits>
#include <thread>
#include <vector>

#include "process.hpp"
#include "support.hpp"

namespace conn_grpc::bench {

// A round takes a millisecond at most, except with the strand. Often no other process wants
// the CPU in that time.
constexpr int gets_per_round = 20'000;

struct timing {
  double ms;
  bool disturbed;
};

/// Threads that do the same, and begin when all of them are ready.
class race {
 public:
  explicit race(std::size_t threads) : shares_(threads) {}

  void begin(std::size_t thread) {
    auto& mine = shares_[thread];
    ++ready_;
    while (ready_ < shares_.size()) std::this_thread::yield();  // a thread that sleeps at a barrier wakes up late
    mine.preemptions = preemptions_of_this_thread();
    mine.begin = watch_.ms();
  }
  void end(std::size_t thread) {
    auto& mine = shares_[thread];
    mine.end = watch_.ms();
    mine.preemptions = preemptions_of_this_thread() - mine.preemptions;
  }

  /// The time from the begin of the first thread to the end of the last thread.
  [[nodiscard]] timing result() const {
    const auto [first, last] = std::ranges::minmax(shares_, {}, &share::begin);
    const double ms = std::ranges::max(shares_, {}, &share::end).end - first.begin;
    const bool preempted = std::ranges::max(shares_, {}, &share::preemptions).preemptions > 0;
    return {ms, preempted || last.begin - first.begin > ms / 10};
  }

 private:
  struct share {
    double begin, end, preemptions;
  };

  const stopwatch watch_;
  std::atomic<std::size_t> ready_{0};
  std::vector<share> shares_;
};

template <class Get>
timing on_threads(std::size_t threads, Get get) {
  race all(threads);
  const auto run = [&](std::size_t thread) {
    all.begin(thread);
    for (int i = 0; i < gets_per_round; ++i) keep(get());
    all.end(thread);
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < threads; ++i) others.emplace_back(run, i);
    run(0);
  }
  return all.result();
}

/// `co_await get()`, in one coroutine on each of the executors, which are threads of
/// their own.
template <class Get>
timing in_coroutines(const std::vector<asio::any_io_executor>& executors, Get get) {
  race all(executors.size());
  const auto run = [&](std::size_t thread) -> asio::awaitable<void> {
    all.begin(thread);
    for (int i = 0; i < gets_per_round; ++i) keep(co_await get());
    all.end(thread);
  };
  std::vector<std::future<void>> ends;
  for (std::size_t i = 0; i < executors.size(); ++i)
    ends.push_back(asio::co_spawn(executors[i], run(i), asio::use_future));
  for (auto& end : ends) end.get();
  return all.result();
}

/// Nanoseconds per get. Other processes may take the CPU away, or delay one of two
/// threads until the other is alone. Such a round says nothing, and is repeated. Not a
/// number when every round is disturbed.
template <class Round>
double undisturbed(Round round) {
  for (int tries = 0; tries < 20; ++tries)
    if (const timing took = round(); !took.disturbed) return took.ms * 1e6 / gets_per_round;
  return std::numeric_limits<double>::quiet_NaN();
}

template <class Get>
std::function<double()> threads(std::size_t count, Get get) {
  return [=] { return undisturbed([&] { return on_threads(count, get); }); };
}

template <class Get>
std::function<double()> coroutines(std::vector<asio::any_io_executor> executors, Get get) {
  return [=] { return undisturbed([&] { return in_coroutines(executors, get); }); };
}

}  // namespace conn_grpc::bench
