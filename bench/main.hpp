// SPDX-License-Identifier: BSL-1.0
// The main function of a benchmark that needs a server.
#pragma once

#include <cstdio>
#include <exception>
#include <string>

#include "process.hpp"
#include "support.hpp"
#include "support/server_process.hpp"

namespace conn_grpc::bench {

/// NAME GREETER_SERVER [OPTION]: calls `measure` with the path of that program, and
/// whether the option was given. As many files may be open as the system allows.
/// @param option null when there is none.
template <class Measure>
int run_benchmark(const char* name, int argc, char** argv, const char* option, Measure measure) try {
  const bool with_option = argc == 3 && option != nullptr && argv[2] == std::string(option);
  if ((argc != 2 && !with_option) || *argv[1] == '-') {
    const std::string last = option == nullptr ? "" : std::string(" [") + option + "]";
    std::fprintf(stderr, "usage: %s GREETER_SERVER%s\n", name, last.c_str());
    return 2;
  }
  raise_file_limit();
  warn_unless_optimized();
  measure(std::string(argv[1]), with_option);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s: %s\n", name, e.what());
  return 1;
}

/// The same, with a running server. Calls `measure` with its address.
template <class Measure>
int run_benchmark_with_server(const char* name, int argc, char** argv, Measure measure) {
  return run_benchmark(name, argc, argv, nullptr, [&](const std::string& executable, bool) {
    const test::server_process server(executable, "127.0.0.1:0");
    measure("127.0.0.1:" + std::to_string(server.port()));
  });
}

}  // namespace conn_grpc::bench
