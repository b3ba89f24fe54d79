// SPDX-License-Identifier: BSL-1.0
#include "grpc/openssl_use.hpp"

#include <openssl/crypto.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace conn_grpc::detail {
namespace {

using namespace std::chrono_literals;

// No mutex: a child that is forked while another thread holds it could not exit.
std::atomic<bool> used{false};
std::atomic<int> uses{0};
std::atomic<std::thread::id> exiting{};  // the thread that has called exit

void wait_for_uses() {
  exiting = std::this_thread::get_id();
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

openssl_use::openssl_use() {
  [[maybe_unused]] static const bool waits = (before_openssl_ends(wait_for_uses), true);
  used = true;
  ++uses;
  const auto thread = exiting.load();
  if (thread == std::thread::id() || thread == std::this_thread::get_id()) return;
  --uses;
  while (true) ::pause();
}

openssl_use::~openssl_use() { --uses; }

bool has_used_openssl() { return used; }

}  // namespace conn_grpc::detail
