// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace conn_grpc::runtime {

/// A thread that receives no signals, like Asio's own threads. The program's threads
/// handle the program's signals.
/// @throws std::system_error
template <class Body>
std::thread quiet_thread(Body body) {
  struct blocked {
    blocked() {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, &before);
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
