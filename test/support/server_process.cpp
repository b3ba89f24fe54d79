// SPDX-License-Identifier: BSL-1.0
#include "support/server_process.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <utility>

extern char** environ;

namespace conn_grpc::test {
namespace {

void check(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  return ends;
}

}  // namespace

reserved_port::reserved_port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  check(socket_ >= 0, "socket");
  const int on = 1;
  check(::setsockopt(socket_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0, "SO_REUSEPORT");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  socklen_t size = sizeof address;
  check(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  number_ = ntohs(address.sin_port);
}

reserved_port::~reserved_port() { ::close(socket_); }

server_process::server_process(const std::string& executable, const std::string& address,
                               std::vector<std::string> options) {
  const auto [child_in, to_child] = make_pipe();
  const auto [from_child, child_out] = make_pipe();

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, child_in, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, child_out, STDOUT_FILENO);
  std::string program = executable;
  std::string argument = address;
  std::vector<char*> argv{program.data(), argument.data()};
  for (auto& option : options) argv.push_back(option.data());
  argv.push_back(nullptr);
  const int error = ::posix_spawn(&pid_, executable.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(child_in);
  ::close(child_out);
  stdin_ = to_child;

  std::string line;
  char c = 0;
  while (error == 0 && ::read(from_child, &c, 1) == 1 && c != '\n') line += c;
  ::close(from_child);
  if (line.empty()) {
    kill();
    throw std::runtime_error("cannot start " + executable + " " + address);
  }
  port_ = static_cast<std::uint16_t>(std::stoi(line));
}

server_process::~server_process() { kill(); }

void server_process::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  wait();
}

void server_process::freeze() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGSTOP);
  int status = 0;
  if (::waitpid(pid_, &status, WUNTRACED) == pid_ && !WIFSTOPPED(status)) pid_ = -1;  // it had ended
}

void server_process::thaw() {
  if (pid_ > 0) ::kill(pid_, SIGCONT);
}

void server_process::tell(const std::string& command) {
  const auto line = command + '\n';
  check(::write(stdin_, line.data(), line.size()) == static_cast<ssize_t>(line.size()), "write");
}

void server_process::shut_down() { wait(); }

void server_process::terminate() {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  wait();
}

void server_process::wait() {
  if (stdin_ >= 0) ::close(std::exchange(stdin_, -1));
  if (pid_ > 0) ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

}  // namespace conn_grpc::test
