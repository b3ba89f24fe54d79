// SPDX-License-Identifier: BSL-1.0
// plugin_host PLUGIN: loads the plugin, lets it use the library, and unloads it while the
// library's thread waits for gRPC. Then gRPC reports to that thread, which must end in code
// that is still mapped.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>

namespace {

void check(bool ok, std::string_view what) {
  if (ok) return;
  std::cout << what << '\n';
  std::exit(EXIT_FAILURE);
}

/// Accepts one connection and sends what a gRPC server sends first.
class server {
 public:
  server() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    check(::bind(listening_, name, size) == 0 && ::listen(listening_, 1) == 0, "cannot listen");
    check(::getsockname(listening_, name, &size) == 0, "cannot get the port");
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] {
      constexpr std::string_view settings("\0\0\0\4\0\0\0\0\0", 9);
      accepted_ = ::accept(listening_, nullptr, nullptr);
      check(::send(accepted_, settings.data(), settings.size(), 0) == 9, "cannot send");
    });
  }

  [[nodiscard]] const char* address() const { return address_.c_str(); }

  void close() {
    thread_.join();
    ::close(listening_);
    ::close(accepted_);
  }

 private:
  int listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int accepted_ = -1;
  std::string address_;
  std::thread thread_;
};

bool completion_thread_runs() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    if (std::ifstream(task.path() / "comm") >> name && name == "conn_grpc") return true;
  }
  return false;
}

}  // namespace

int main(int, char** argv) {
  server peer;
  void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  check(plugin != nullptr, "cannot load the plugin");
  reinterpret_cast<void (*)(const char*)>(::dlsym(plugin, "leave_a_channel_to"))(peer.address());
  ::dlclose(plugin);
  check(completion_thread_runs(), "the channel that was left is not watched");

  peer.close();
  for (int tries = 0; completion_thread_runs(); ++tries) {
    check(tries < 3'000, "the library's thread did not end");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  std::cout << "unloaded\n";
}
