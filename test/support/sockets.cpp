// SPDX-License-Identifier: BSL-1.0
#include "support/sockets.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

namespace conn_grpc::test {
namespace {

namespace fs = std::filesystem;

std::size_t entries(const char* directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), {}));
}

/// "socket:[12345]" for each socket of this process.
std::set<std::string> own_sockets() {
  std::set<std::string> sockets;
  for (const auto& file : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the directory's own descriptor
    sockets.insert(fs::read_symlink(file, gone).string());
  }
  return sockets;
}

}  // namespace

std::size_t established_to(std::uint16_t port) {
  const auto own = own_sockets();
  std::set<std::string> established;  // by inode: a table that changes while it is read may show a row twice
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {  // gRPC connects from dual-stack sockets
    std::ifstream rows(table);
    std::string line;
    std::getline(rows, line);  // the heading
    while (std::getline(rows, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
      fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
      const auto remote_port = std::stoul(remote.substr(remote.find(':') + 1), nullptr, 16);
      if (remote_port == port && state == "01" && own.contains("socket:[" + inode + "]")) established.insert(inode);
    }
  }
  return established.size();
}

std::size_t open_files() { return entries("/proc/self/fd"); }

std::size_t threads() { return entries("/proc/self/task"); }

std::size_t threads_named(const std::string& name) {
  std::size_t count = 0;
  for (const auto& thread : fs::directory_iterator("/proc/self/task")) {
    std::ifstream comm(thread.path() / "comm");
    std::string found;
    std::getline(comm, found);
    if (found == name) ++count;
  }
  return count;
}

std::size_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

}  // namespace conn_grpc::test
