// SPDX-License-Identifier: BSL-1.0
// configured_host FILE PLUGIN...: each plugin reads the size of the pool "greeter" from the
// file. Each plugin contains a copy of the library.
#include <dlfcn.h>

#include <cstddef>
#include <iostream>

int main(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    void* const plugin = ::dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
    if (!plugin) return std::cout << ::dlerror() << '\n', 1;
    std::cout << reinterpret_cast<std::size_t (*)(const char*)>(::dlsym(plugin, "pool_size_in"))(argv[1]) << '\n';
  }
}
