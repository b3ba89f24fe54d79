// SPDX-License-Identifier: BSL-1.0
#include "engine/look_up.hpp"

#include "runtime/quiet_thread.hpp"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <optional>
#include <system_error>
#include <utility>

namespace conn_grpc::engine {
namespace {

// The name of the caller's, and gRPC's own words.
absl::Status not_found(const host_and_port& what, const char* why) {
  return absl::UnavailableError(absl::StrCat("DNS resolution failed for ", what.host, ":", what.port, ": ", why));
}

struct look_up_result {
  int error = 0;
  found_addresses found;
};

look_up_result ask(const host_and_port& what, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* results = nullptr;
  const int error = ::getaddrinfo(what.host.c_str(), what.port.c_str(), &hints, &results);
  if (error != 0) return {.error = error, .found = not_found(what, ::gai_strerror(error))};
  std::vector<EventEngine::ResolvedAddress> found;
  for (const auto* each = results; each != nullptr; each = each->ai_next)
    found.emplace_back(each->ai_addr, each->ai_addrlen);
  ::freeaddrinfo(results);
  return {.error = 0, .found = std::move(found)};
}

struct job {
  host_and_port what;
  look_up_thread::callback called;
};

struct look_up_queue {
  std::mutex mutex;
  std::deque<job> jobs;
  bool has_thread = false;

  void run() {
    ::pthread_setname_np(::pthread_self(), "conn_grpc dns");
    std::unique_lock lock(mutex);
    while (!jobs.empty()) {
      const auto next = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      next.called(ask(next.what, 0).found);
      lock.lock();
    }
    has_thread = false;
  }
};

look_up_queue& the_queue() {
  static auto* const queue = new look_up_queue;  // the thread may outlive static objects
  return *queue;
}

}  // namespace

host_and_port::host_and_port(absl::string_view name, absl::string_view default_port) : port(default_port) {
  if (name.starts_with('[')) {
    const auto end = name.find(']');
    host = name.substr(1, end == absl::string_view::npos ? end : end - 1);
    if (end != absl::string_view::npos && name.substr(end).starts_with("]:")) port = name.substr(end + 2);
    return;
  }
  const auto colon = name.find(':');
  const bool has_port = colon != absl::string_view::npos && name.rfind(':') == colon;  // more: an IPv6 address
  host = name.substr(0, has_port ? colon : absl::string_view::npos);
  if (has_port) port = name.substr(colon + 1);
}

std::optional<found_addresses> look_up_thread::without_thread(const host_and_port& what) {
  if (what.port.empty()) return absl::InvalidArgumentError(absl::StrCat("no port in name ", what.host));
  const bool is_number = what.port.find_first_not_of("0123456789") == std::string::npos;
  auto result = ask(what, is_number ? AI_NUMERICHOST | AI_NUMERICSERV : AI_NUMERICHOST);
  if (result.error == EAI_NONAME) return {};
  return std::move(result.found);
}

void look_up_thread::look_up(host_and_port what, callback called) {
  auto& queue = the_queue();
  std::unique_lock lock(queue.mutex);
  queue.jobs.push_back({std::move(what), std::move(called)});
  if (queue.has_thread) return;
  try {
    runtime::quiet_thread([&queue] { queue.run(); }).detach();
    queue.has_thread = true;
  } catch (const std::system_error& e) {
    const auto failed = std::move(queue.jobs.back());
    queue.jobs.pop_back();
    lock.unlock();
    failed.called(not_found(failed.what, e.what()));
  }
}

void look_ups::look_up(callback called, const host_and_port& what) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++last_;
    pending_.emplace(number, std::move(called));
  }
  if (auto known = look_up_thread::without_thread(what)) return end(number, *std::move(known));
  look_up_thread::look_up(what, [weak = weak_from_this(), number](found_addresses result) {
    if (const auto self = weak.lock()) self->end(number, std::move(result));
  });
}

void look_ups::end(std::uint64_t number, found_addresses result) {
  callback called;
  {
    const std::lock_guard lock(mutex_);
    if (auto node = pending_.extract(number)) called = std::move(node.mapped());
  }
  // A server that starts waits for the addresses that it is to listen on, perhaps on the
  // context's only thread.
  if (called)
    loop_->run_control(task(task::function(
        [called = std::move(called), result = std::move(result)]() mutable { called(std::move(result)); })));
}

void look_ups::cancel() noexcept {
  std::unordered_map<std::uint64_t, callback> cancelled;
  {
    const std::lock_guard lock(mutex_);
    cancelled.swap(pending_);
  }
  for (auto& [number, called] : cancelled)
    loop_->run_control(task(task::function(
        [ended = std::move(called)]() mutable { ended(absl::CancelledError("the resolver was destroyed")); })));
}

void dns_resolver::LookupHostname(LookupHostnameCallback on_resolve, absl::string_view name,
                                  absl::string_view default_port) {
  look_ups_->look_up(std::move(on_resolve), host_and_port(name, default_port));
}

void dns_resolver::LookupSRV(LookupSRVCallback on_resolve, absl::string_view) {
  loop_->run(task::function([called = std::move(on_resolve)]() mutable {
    called(absl::UnimplementedError("conn_grpc's event engine does not look up SRV records"));
  }));
}

void dns_resolver::LookupTXT(LookupTXTCallback on_resolve, absl::string_view) {
  loop_->run(task::function([called = std::move(on_resolve)]() mutable {
    called(absl::UnimplementedError("conn_grpc's event engine does not look up TXT records"));
  }));
}

}  // namespace conn_grpc::engine
