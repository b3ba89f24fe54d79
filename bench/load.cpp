// SPDX-License-Identifier: BSL-1.0
// What do leases and `client::call` do under load?
//
// load GREETER_SERVER [QUESTION...]:
// - 1-elastic: how fast does a pool that follows its load reach the throughput of a fixed
//   one, and when is it small again?
// - 2-slow: how many calls does a backend get that is 50 times slower than three others, and
//   what do the other calls notice?
// - 3-restarts: how many calls fail, and how many are executed twice, while backends are
//   shut down or killed, and come back?
// All questions take five minutes.
#include <cstdio>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "load_elastic.hpp"
#include "load_restarts.hpp"
#include "load_slow.hpp"
#include "process.hpp"
#include "questions.hpp"
#include "support.hpp"

namespace {

void run(const std::vector<std::string>& arguments) {
  using namespace conn_grpc::bench;
  const std::vector<std::string> names(std::next(arguments.begin()), arguments.end());
  const auto& server = arguments.front();
  const std::map<std::string, std::function<void()>> questions{
      {"1-elastic", [&] { grow_with_the_load(server); }},
      {"2-slow", [&] { call_a_slow_backend(server); }},
      {"3-restarts", [&] { restart_under_callers(server); }},
  };
  answer(questions, names);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty() || arguments.front().starts_with('-')) {
    std::fputs("usage: load GREETER_SERVER [QUESTION...]\n", stderr);
    return 2;
  }
  conn_grpc::bench::raise_file_limit();
  conn_grpc::bench::warn_unless_optimized();
  run(arguments);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "load: %s\n", e.what());
  return 1;
}
