// SPDX-License-Identifier: BSL-1.0
// What the kernel says about this process, and about another one.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <ctime>
#include <limits>

namespace conn_grpc::bench {

/// CPU time and context switches, of all threads, since the process began.
struct usage {
  double cpu_ms = 0;
  double voluntary_switches = 0;

  [[nodiscard]] static usage now() {
    rusage all{};
    ::getrusage(RUSAGE_SELF, &all);
    const auto ms = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
    };
    return {.cpu_ms = ms(all.ru_utime) + ms(all.ru_stime), .voluntary_switches = static_cast<double>(all.ru_nvcsw)};
  }

  friend usage operator-(const usage& a, const usage& b) {
    return {.cpu_ms = a.cpu_ms - b.cpu_ms, .voluntary_switches = a.voluntary_switches - b.voluntary_switches};
  }
  friend usage operator/(const usage& a, double by) {
    return {.cpu_ms = a.cpu_ms / by, .voluntary_switches = a.voluntary_switches / by};
  }
};

/// CPU time of another process since it began; not a number when there is none.
[[nodiscard]] inline double cpu_ms_of(pid_t process) {
  clockid_t clock{};
  timespec spent{};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &spent) != 0)
    return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(spent.tv_sec) * 1e3 + static_cast<double>(spent.tv_nsec) / 1e6;
}

/// Raises the limit of open files as far as it is allowed, and returns it.
inline std::size_t raise_file_limit() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  return static_cast<std::size_t>(files.rlim_cur);
}

/// How often the kernel took the CPU away from the calling thread.
[[nodiscard]] inline double preemptions_of_this_thread() {
  rusage self{};
  ::getrusage(RUSAGE_THREAD, &self);
  return static_cast<double>(self.ru_nivcsw);
}

class stopwatch {
 public:
  [[nodiscard]] double ms() const { return std::chrono::duration<double, std::milli>(clock::now() - begin_).count(); }

 private:
  using clock = std::chrono::steady_clock;
  clock::time_point begin_ = clock::now();
};

}  // namespace conn_grpc::bench
