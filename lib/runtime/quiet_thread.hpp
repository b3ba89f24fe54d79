// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace conn_grpc::runtime {

/// A thread that blocks all signals, except those of its own faults, such as SIGSEGV. The
/// program's threads handle the program's signals. When the signal of a fault is blocked, the
/// kernel ends the process without calling the program's handler.
/// @throws std::system_error
template <class Body>
std::thread quiet_thread(Body body) {
  struct blocked {
    blocked() {
      sigset_t signals;
      ::sigfillset(&signals);
      for (const int fault : {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP}) ::sigdelset(&signals, fault);
      ::pthread_sigmask(SIG_SETMASK, &signals, &before);
    }
    ~blocked() { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }
    blocked(const blocked&) = delete;
    blocked& operator=(const blocked&) = delete;
    sigset_t before{};
  };
  const blocked inherited;
  return std::thread(std::move(body));
}

}  // namespace conn_grpc::runtime
