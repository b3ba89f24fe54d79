// SPDX-License-Identifier: BSL-1.0
#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

#ifdef CONN_GRPC_TEST_ADDRESS_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

int main(int argc, char** argv) {
  const int failed = Catch::Session().run(argc, argv);
#ifdef CONN_GRPC_TEST_ADDRESS_SANITIZER
  // Not at exit, which is the default: OpenSSL can then no longer find what it keeps for
  // each of gRPC's threads that still run.
  __lsan_do_leak_check();
#endif
  return failed;
}
