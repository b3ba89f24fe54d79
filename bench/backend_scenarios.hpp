// SPDX-License-Identifier: BSL-1.0
// What happens to backends while they are called, and how long that takes to show.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend_process.hpp"
#include "backend_subjects.hpp"
#include "support.hpp"

namespace conn_grpc::bench {

/// Subjects that call the same backends at the same time.
class subjects {
 public:
  template <class Subject, class... Arguments>
  void add(Arguments&&... arguments) {
    all_.push_back(std::make_unique<Subject>(std::forward<Arguments>(arguments)...));
  }

  void start() {
    for (const auto& each : all_) each->start();
    std::this_thread::sleep_for(1'500ms);  // connections of that age are stable
  }
  void finish() {
    for (const auto& each : all_) each->finish();
  }

  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] subject& operator[](std::size_t i) const { return *all_[i]; }
  [[nodiscard]] auto begin() const { return all_.begin(); }
  [[nodiscard]] auto end() const { return all_.end(); }

  void expect_no_failures(bool expected) {
    for (const auto& each : all_) each->calls().expect_no_failures(expected);
  }

  [[nodiscard]] samples now() const {
    samples times;
    for (const auto& each : all_) times.push_back(each->calls().now());
    return times;
  }

  /// Waits until all of them have served at 80 % of its share for 100 ms.
  /// @param since its first answers may come then.
  /// @return for each subject the time from then to the beginning of those 100 ms. `never`
  /// after ten seconds.
  [[nodiscard]] samples time_until_share(const std::string& address, std::size_t backends, const samples& since) const {
    constexpr double window = 110;  // the last 10 ms are not complete
    const stopwatch waiting;
    samples times(size(), never);
    for (std::size_t missing = size(); missing > 0 && waiting.ms() < 10'000; std::this_thread::sleep_for(5ms)) {
      for (std::size_t i = 0; i < size(); ++i) {
        auto& calls = all_[i]->calls();
        const double took = calls.now() - since[i];
        if (times[i] >= 0 || took < window) continue;
        if (calls.recent_share(address) < 0.8 / static_cast<double>(backends)) continue;
        times[i] = took - window;
        --missing;
      }
    }
    return times;
  }

 private:
  std::vector<std::unique_ptr<subject>> all_;
};

/// For each subject what was measured several times.
class series {
 public:
  explicit series(std::size_t subjects) : of_(subjects) {}
  void add(const samples& one_of_each) {
    for (std::size_t i = 0; i < of_.size(); ++i) of_[i].push_back(one_of_each[i]);
  }
  [[nodiscard]] std::string text(std::size_t subject) const { return number(median(of_[subject]), 0); }

 private:
  std::vector<samples> of_;
};

/// The first columns of every table.
inline std::vector<std::string> counts_of(subject& of) {
  const auto& calls = of.calls();
  return {of.name(), std::to_string(calls.answers() + calls.failures()), std::to_string(calls.failures()),
          std::to_string(calls.failed_gets())};
}

/// What failed, and what the subject reported, in words.
inline void print_words(const subjects& all) {
  for (const auto& each : all) {
    for (const auto& [words, times] : each->calls().words())
      std::printf("  %s, failed: %d x %s\n", each->name().c_str(), times, words.c_str());
    for (const auto& [words, times] : each->reports())
      std::printf("  %s, reported: %d x %s\n", each->name().c_str(), times, words.c_str());
  }
  std::puts("");
  std::fflush(stdout);
}

/// Prints a table with a row of each subject: the counts, and then these columns.
inline void print_results(const char* question, const subjects& all, const std::vector<std::string>& columns,
                          const std::function<std::vector<std::string>(std::size_t)>& cells) {
  std::puts(question);
  std::vector<std::string> head{"", "RPCs", "failed", "failed gets"};
  head.insert(head.end(), columns.begin(), columns.end());
  table results(head);
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto row = counts_of(all[i]);
    for (auto& cell : cells(i)) row.push_back(std::move(cell));
    results.add(std::move(row));
  }
  results.print();
  print_words(all);
}

/// A row's samples as differences to a beginning.
inline samples since(const samples& times, const samples& begin) {
  samples result;
  for (std::size_t i = 0; i < times.size(); ++i) result.push_back(times[i] - begin[i]);
  return result;
}

}  // namespace conn_grpc::bench
