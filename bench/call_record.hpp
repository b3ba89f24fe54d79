// SPDX-License-Identifier: BSL-1.0
// What became of the RPCs of many callers.
#pragma once

#include <grpcpp/support/status.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "process.hpp"

namespace conn_grpc::bench {

constexpr double never = std::numeric_limits<double>::quiet_NaN();

/// A text without its numbers and ports, so that equal failures can be counted.
inline std::string without_numbers(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (!is_digit) result += c;
    if (is_digit && !result.ends_with('N')) result += 'N';
  }
  return result;
}

inline std::string name_of(grpc::StatusCode code) {
  constexpr std::array names{
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE"};
  const auto index = static_cast<std::size_t>(code);
  return index < names.size() ? names[index] : std::to_string(index);
}

/// Counts RPCs and failures. Times are in milliseconds since this object was made. All
/// functions are thread-safe.
class call_record {
 public:
  [[nodiscard]] double now() const { return watch_.ms(); }

  /// @param peer the server, as gRPC names it.
  void answered(const std::string& peer, double begun) {
    const double at = now();
    const auto interval = static_cast<std::size_t>(at / interval_ms);
    const std::lock_guard lock(mutex_);
    ++answers_;
    longest_ = (std::max)(longest_, at - begun);
    auto& of = of_address_[peer.substr(peer.find(':') + 1)];
    if (of.answers.empty()) of.first = at;
    of.last = at;
    if (of.answers.size() <= interval) of.answers.resize(interval + 1);
    ++of.answers[interval];
  }

  void failed(const grpc::Status& status, double begun) {
    const std::lock_guard lock(mutex_);
    ++failures_;
    last_failure_ = now();
    if (begun > quiet_since_) ++late_failures_;
    ++words_[name_of(status.error_code()) + " \"" + without_numbers(status.error_message()) + '"'];
  }

  void get_failed(std::string_view why) {
    const std::lock_guard lock(mutex_);
    ++failed_gets_;
    last_failure_ = now();
    ++words_["a get: " + without_numbers(why)];
  }

  /// RPCs that begin from now on, and until the next call, should not fail.
  void expect_no_failures(bool expected = true) {
    const std::lock_guard lock(mutex_);
    quiet_since_ = expected ? now() : (std::numeric_limits<double>::max)();
  }

  [[nodiscard]] std::uint64_t ended() const { return answers() + failures(); }
  [[nodiscard]] std::uint64_t answers() const { return locked(answers_); }
  [[nodiscard]] std::uint64_t failures() const { return locked(failures_); }
  [[nodiscard]] std::uint64_t failed_gets() const { return locked(failed_gets_); }
  /// How many of the failed RPCs began when none should fail.
  [[nodiscard]] std::uint64_t late_failures() const { return locked(late_failures_); }
  [[nodiscard]] double last_failure() const { return locked(last_failure_); }
  /// The time of the slowest RPC that succeeded.
  [[nodiscard]] double longest() const { return locked(longest_); }
  [[nodiscard]] std::map<std::string, int> words() const { return locked(words_); }

  /// When the first and the last answer of this server came.
  [[nodiscard]] double first_answer(const std::string& address) { return of(address).first; }
  [[nodiscard]] double last_answer(const std::string& address) { return of(address).last; }

  /// When the first 100 ms since then began in which this part of all answers came from
  /// this server. `never` if there are none so far.
  [[nodiscard]] double first_share(const std::string& address, double part, double since) {
    constexpr std::size_t window = 10;
    const auto end = static_cast<std::size_t>(now() / interval_ms);  // the last interval is not complete
    const std::lock_guard lock(mutex_);
    const auto& its = of_address_[address].answers;
    const auto answers_from = [](const std::vector<std::uint32_t>& answers, std::size_t begin) {
      double sum = 0;
      for (auto i = begin; i < (std::min)(begin + window, answers.size()); ++i) sum += answers[i];
      return sum;
    };
    for (auto begin = static_cast<std::size_t>(since / interval_ms) + 1; begin + window <= end; ++begin) {
      double all = 0;
      for (const auto& [name, of] : of_address_) all += answers_from(of.answers, begin);
      if (all > 0 && answers_from(its, begin) >= part * all) return static_cast<double>(begin) * interval_ms;
    }
    return never;
  }

 private:
  struct server {
    double first = never;
    double last = never;
    std::vector<std::uint32_t> answers{};  // in each interval
  };
  static constexpr double interval_ms = 10;

  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  server of(const std::string& address) {
    const std::lock_guard lock(mutex_);
    return of_address_[address];
  }

  const stopwatch watch_;
  mutable std::mutex mutex_;
  std::uint64_t answers_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t failed_gets_ = 0;
  std::uint64_t late_failures_ = 0;
  double quiet_since_ = (std::numeric_limits<double>::max)();
  double last_failure_ = never;
  double longest_ = 0;
  std::map<std::string, int> words_;
  std::map<std::string, server> of_address_;
};

}  // namespace conn_grpc::bench
