// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/wait_traits.hpp>

#include <chrono>

namespace conn_grpc::test {

/// Time that stands still until the test moves it. It is process-wide, so one test uses
/// it at a time.
struct manual_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<manual_clock>;
  static constexpr bool is_steady = true;

  static time_point now() { return now_; }
  static void reset() { now_ = time_point{}; }
  static void advance(duration d) { now_ += d; }

 private:
  inline static time_point now_{};
};

}  // namespace conn_grpc::test

/// Never wait: `poll()` runs what is due, and a context that would have to wait has
/// nothing to do.
template <>
struct boost::asio::wait_traits<conn_grpc::test::manual_clock> {
  static std::chrono::nanoseconds to_wait_duration(const std::chrono::nanoseconds&) { return {}; }
  static std::chrono::nanoseconds to_wait_duration(const conn_grpc::test::manual_clock::time_point&) { return {}; }
};
