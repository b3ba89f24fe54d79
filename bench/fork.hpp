// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <type_traits>

namespace conn_grpc::bench {

/// Returns what `measure` returns in a process of its own. This process must have no
/// threads, and must not have used gRPC. The child is killed after a minute.
template <class Measure>
auto in_own_process(Measure measure) {
  using result_type = decltype(measure());
  static_assert(std::is_trivially_copyable_v<result_type>);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  std::fflush(nullptr);

  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    ::alarm(60);
    try {
      const result_type result = measure();
      ::_exit(::write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "%s\n", e.what());
      ::_exit(1);
    }
  }

  ::close(ends[1]);
  result_type result{};
  const bool complete = ::read(ends[0], &result, sizeof result) == sizeof result;
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  if (!complete) throw std::runtime_error("a measurement failed");
  return result;
}

}  // namespace conn_grpc::bench
