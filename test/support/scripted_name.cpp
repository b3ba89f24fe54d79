// SPDX-License-Identifier: BSL-1.0
#include "support/scripted_name.hpp"

#include <dlfcn.h>
#include <netdb.h>

#include <map>
#include <utility>

namespace conn_grpc::test {
namespace {

struct registry {
  std::mutex mutex;
  std::map<std::string, scripted_name*> names;
};

registry& scripted() {
  static registry all;
  return all;
}

}  // namespace

scripted_name::scripted_name(std::string name, std::vector<std::string> addresses)
    : name_(std::move(name)), addresses_(std::move(addresses)) {
  const std::lock_guard lock(scripted().mutex);
  scripted().names[name_] = this;
}

scripted_name::~scripted_name() {
  {
    const std::lock_guard lock(scripted().mutex);
    scripted().names.erase(name_);
  }
  let_go();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return under_way_ == 0; });
}

void scripted_name::set(std::vector<std::string> addresses) {
  const std::lock_guard lock(mutex_);
  addresses_ = std::move(addresses);
}

void scripted_name::hang() {
  const std::lock_guard lock(mutex_);
  hangs_ = true;
}

void scripted_name::let_go() {
  const std::lock_guard lock(mutex_);
  hangs_ = false;
  changed_.notify_all();
}

int scripted_name::look_ups() const {
  const std::lock_guard lock(mutex_);
  return look_ups_;
}

void scripted_name::wait_until_it_hangs() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return hangs_ && under_way_ > 0; });
}

std::vector<std::string> scripted_name::look_up() {
  std::unique_lock lock(mutex_);
  ++look_ups_;
  ++under_way_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !hangs_; });
  auto found = addresses_;
  --under_way_;
  changed_.notify_all();
  return found;
}

}  // namespace conn_grpc::test

/// The system's, except for scripted names.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  using conn_grpc::test::scripted_name;
  static const auto of_system = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  scripted_name* name = nullptr;
  {
    const std::lock_guard lock(conn_grpc::test::scripted().mutex);
    const auto& all = conn_grpc::test::scripted().names;
    if (const auto found = all.find(node ? node : ""); found != all.end()) name = found->second;
  }
  if (!name) return of_system(node, service, hints, result);
  addrinfo numeric = hints ? *hints : addrinfo{};
  numeric.ai_flags = AI_NUMERICHOST;
  *result = nullptr;
  addrinfo** end = result;
  for (const auto& address : name->look_up()) {
    if (const int failed = of_system(address.c_str(), service, &numeric, end); failed != 0) return failed;
    while (*end) end = &(*end)->ai_next;
  }
  return *result ? 0 : EAI_AGAIN;
}
