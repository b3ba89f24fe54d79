// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace conn_grpc::test {

/// A loopback port, picked by the kernel, that stays reserved: a socket is bound to it,
/// but does not listen. A process that shares it with SO_REUSEPORT, as gRPC servers do,
/// can listen there, stop and come back. No other process gets the port meanwhile.
class reserved_port {
 public:
  reserved_port();
  ~reserved_port();
  reserved_port(const reserved_port&) = delete;
  reserved_port& operator=(const reserved_port&) = delete;

  [[nodiscard]] std::uint16_t number() const { return number_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(number_); }

 private:
  int socket_;
  std::uint16_t number_;
};

/// A greeter_server in a process of its own. It ends with this object, or with this
/// process.
class server_process {
 public:
  /// Returns once the server listens. Throws std::runtime_error if it cannot.
  server_process(const std::string& executable, const std::string& address, std::vector<std::string> options = {});
  ~server_process();
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Sends SIGKILL, and waits until the process has ended. The kernel resets or closes
  /// the connections.
  void kill();

  /// Stops the process (SIGSTOP), and returns once it does not run any more. Its
  /// connections stay open.
  void freeze();
  /// Lets a frozen process go on.
  void thaw();

  /// Sends a command, as `greeter_server` describes.
  void tell(const std::string& command);

  /// Lets the server shut down by itself, and waits for that: GOAWAY, then the
  /// connections close.
  void shut_down();
  /// The same with SIGTERM.
  void terminate();

 private:
  void wait();

  pid_t pid_ = -1;
  int stdin_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace conn_grpc::test
