// SPDX-License-Identifier: BSL-1.0
// What all questions about backends need: subjects that are called at the same time, and
// their results.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
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

  /// Waits until all of them have had 80 % of this server's share for 100 ms.
  /// @param begun for each subject when its share may begin.
  /// @return for each subject the time from then to the beginning of those 100 ms. `never`
  /// after ten seconds.
  [[nodiscard]] samples time_until_share(const std::string& address, std::size_t backends, const samples& begun) const {
    const double part = 0.8 / static_cast<double>(backends);
    const stopwatch waiting;
    samples times(size(), never);
    const auto is_missing = [](double time) { return std::isnan(time); };
    while (std::ranges::any_of(times, is_missing) && waiting.ms() < 10'000) {
      std::this_thread::sleep_for(5ms);
      for (std::size_t i = 0; i < size(); ++i)
        if (is_missing(times[i])) times[i] = all_[i]->calls().first_share(address, part, begun[i]) - begun[i];
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
  [[nodiscard]] double typical(std::size_t subject) const { return median(of_[subject]); }

 private:
  std::vector<samples> of_;
};

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

/// A column of a table: its heading, and the value of each subject.
struct column {
  std::string name;
  std::function<double(std::size_t subject)> value;
};

/// Prints a table with a row of each subject: the counts, and then these columns. Records
/// the same values as "key, subject: column".
inline void print_results(const std::string& key, const std::string& question, subjects& all,
                          std::vector<column> columns) {
  const auto count = [&](std::uint64_t (call_record::*of)() const) {
    return [&all, of](std::size_t subject) { return static_cast<double>((all[subject].calls().*of)()); };
  };
  columns.insert(columns.begin(), {{"RPCs", count(&call_record::ended)},
                                   {"failed", count(&call_record::failures)},
                                   {"failed gets", count(&call_record::failed_gets)}});
  columns.push_back({"slowest RPC ms", [&](std::size_t subject) { return all[subject].calls().longest(); }});
  std::puts(question.c_str());
  std::vector<std::string> head{""};
  for (const auto& each : columns) head.push_back(each.name);
  table results(head);
  for (std::size_t subject = 0; subject < all.size(); ++subject) {
    std::vector<std::string> row{all[subject].name()};
    for (const auto& each : columns) {
      row.push_back(number(each.value(subject), 0));
      record("backends", key + ", " + all[subject].name() + ": " + each.name, 1, each.value(subject));
    }
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

// The subjects of most questions: a pool with two channels to each address, and one gRPC
// channel over the same addresses.

constexpr const char* pooled = "conn_grpc";
constexpr const char* plain = "round_robin";

inline pool_options two_to_each() { return {.name = "bench", .pool_size = 2}; }

inline void add_both(subjects& all, const call_load& load, const std::vector<std::string>& addresses) {
  all.add<pooled_backends>(pooled, load, addresses, two_to_each());
  all.add<round_robin_channel>(plain, load, addresses);
}

}  // namespace conn_grpc::bench
