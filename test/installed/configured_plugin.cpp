// SPDX-License-Identifier: BSL-1.0
// A plugin that contains the library, and reads a configuration file with it.
#include <conn_grpc/configuration.hpp>

extern "C" [[gnu::visibility("default")]] std::size_t pool_size_in(const char* file) {
  return conn_grpc::load_pool_options(file, "greeter").pool_size;
}
