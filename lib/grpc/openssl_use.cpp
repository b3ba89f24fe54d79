// SPDX-License-Identifier: BSL-1.0
#include "grpc/openssl_use.hpp"

#include <openssl/crypto.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace conn_grpc::detail {
namespace {

using namespace std::chrono_literals;

// No mutex: a child that is forked while another thread holds it could not exit.
std::atomic<int> uses{0};
std::atomic<bool> exiting{false};

void wait_for_uses() {
  exiting = true;
  const auto end = std::chrono::steady_clock::now() + 1s;
  while (uses > 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
}

}  // namespace

void before_openssl_ends(void (*called)()) {
  // What is registered last is called first. OpenSSL registers its own end when a part of it
  // is initialised. This part is small.
  ::OPENSSL_init_crypto(OPENSSL_INIT_ASYNC, nullptr);
  std::atexit(called);
}

void openssl_use::prepare() {
  static std::once_flag once;
  std::call_once(once, [] {
    ::pthread_atfork(nullptr, nullptr, [] { uses = 0; });  // a child has none of these threads
    before_openssl_ends(wait_for_uses);
  });
}

openssl_use::openssl_use() {
  ++uses;
  if (!exiting) return;
  --uses;
  while (true) ::pause();
}

openssl_use::~openssl_use() {
  ::OPENSSL_thread_stop();
  --uses;
}

}  // namespace conn_grpc::detail
