// SPDX-License-Identifier: BSL-1.0
#include "engine/listener.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <absl/strings/str_cat.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <system_error>

namespace conn_grpc::engine {
namespace {

using namespace std::chrono_literals;

// Connections that are accepted in one turn. Then the context's other handlers have their turn.
constexpr int most_accepted_at_once = 16;

// Before the next try, when there are no descriptors left, or no memory.
constexpr auto pause_without_resources = 100ms;

bool is_without_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

absl::Status cannot_listen(const char* what, int error) {
  return absl::UnknownError(absl::StrCat("cannot listen: ", what, ": ", std::generic_category().message(error)));
}

// What a server that has crashed left behind.
void remove_socket_file(const sockaddr_un& address) {
  struct stat file{};
  if (address.sun_path[0] != '\0' && ::stat(address.sun_path, &file) == 0 && S_ISSOCK(file.st_mode))
    (void)::unlink(address.sun_path);
}

// As gRPC's own engine: a socket of IPv6 serves IPv4, too.
absl::StatusOr<int> open_listening(const socket_address& address, bool shares_port) {
  const auto family = address.address()->sa_family;
  const int descriptor = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return cannot_listen("socket", errno);
  if (family == AF_UNIX) {
    remove_socket_file(*reinterpret_cast<const sockaddr_un*>(address.address()));
  } else {
    set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (shares_port) set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
    if (family == AF_INET6) set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }
  const char* failed = nullptr;
  if (::bind(descriptor, address.address(), address.size()) != 0)
    failed = "bind";
  else if (::listen(descriptor, SOMAXCONN) != 0)
    failed = "listen";
  if (failed == nullptr) return descriptor;
  const int error = errno;
  ::close(descriptor);
  return cannot_listen(failed, error);
}

int port_of(const socket_address& address) {
  switch (address.address()->sa_family) {
    case AF_INET:
      return ntohs(reinterpret_cast<const sockaddr_in*>(address.address())->sin_port);
    case AF_INET6:
      return ntohs(reinterpret_cast<const sockaddr_in6*>(address.address())->sin6_port);
    default:
      return 1;
  }
}

}  // namespace

accepting::accepting(std::shared_ptr<event_loop> loop, accept_callback on_accept, shutdown_callback on_shutdown,
                     socket_options options, std::unique_ptr<allocator_factory> allocators)
    : loop_(std::move(loop)),
      options_(options),
      allocators_(std::move(allocators)),
      on_accept_(std::move(on_accept)),
      on_shutdown_(std::move(on_shutdown)) {}

std::shared_ptr<accepting> accepting::make(std::shared_ptr<event_loop> loop, accept_callback on_accept,
                                           shutdown_callback on_shutdown, socket_options options,
                                           std::unique_ptr<allocator_factory> allocators) {
  std::shared_ptr<accepting> made(
      new accepting(std::move(loop), std::move(on_accept), std::move(on_shutdown), options, std::move(allocators)));
  made->registration_.emplace(made->loop_, made);
  return made;
}

absl::StatusOr<int> accepting::bind(const socket_address& address) {
  const auto descriptor = open_listening(address, options_.shares_port);
  if (!descriptor.ok()) return descriptor.status();
  const int port = port_of(local_address_of(*descriptor));
  const std::lock_guard lock(mutex_);
  auto* const context = loop_->context();
  if (is_started_ || context == nullptr) {
    ::close(*descriptor);
    return absl::FailedPreconditionError("cannot listen: the server has started, or the io_context has ended");
  }
  sockets_.push_back(std::make_shared<bound_socket>(asio::posix::stream_descriptor(*context, *descriptor)));
  return port;
}

absl::Status accepting::start() {
  {
    const std::lock_guard lock(mutex_);
    is_started_ = true;
  }
  loop_->begin_in_context(shared_from_this());
  return absl::OkStatus();
}

void accepting::begin() noexcept {
  const std::lock_guard lock(mutex_);
  auto* const context = loop_->context();
  if (context == nullptr) return;
  for (const auto& each : sockets_)
    if (!each->waits) wait(each, *context);
}

// With the mutex held.
void accepting::wait(const std::shared_ptr<bound_socket>& bound, asio::io_context& context) {
  bound->waits = true;
  event_loop::initiate_uncounted(context, [&](auto wrap) {
    bound->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                             wrap([self = shared_from_this(), bound](boost::system::error_code error) {
                               if (!error) self->loop_->in_turn([&] { self->accept_from(bound); });
                             }));
  });
}

// In a turn.
void accepting::accept_from(const std::shared_ptr<bound_socket>& bound) {
  for (int accepted = 0; accepted < most_accepted_at_once; ++accepted) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    int descriptor = -1;
    int error = 0;
    {
      const std::lock_guard lock(mutex_);
      if (sockets_.empty()) return;
      descriptor = ::accept4(bound->socket.native_handle(), reinterpret_cast<sockaddr*>(&peer), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
      error = errno;
      if (descriptor >= 0) ++turns_that_accept_;
    }
    if (descriptor >= 0) {
      accept(descriptor, {reinterpret_cast<const sockaddr*>(&peer), size});
    } else if (error == EAGAIN || error == EWOULDBLOCK) {
      break;
    } else if (is_without_resources(error)) {
      loop_->run_after(pause_without_resources,
                       task(task::function([self = shared_from_this(), bound] { self->wait_again(*bound); })));
      return;
    }  // else that peer has gone, and the next one may be there
  }
  wait_again(*bound);
}

void accepting::wait_again(bound_socket& bound) {
  {
    const std::lock_guard lock(mutex_);
    bound.waits = false;
  }
  loop_->begin_in_context(shared_from_this());
}

void accepting::accept(int descriptor, const socket_address& peer) {
  const auto family = peer.address()->sa_family;
  options_.apply(descriptor, family);
  if (auto* const context = loop_->context(); context != nullptr) {
    stream_socket socket(*context, protocol_of(family), descriptor);
    const auto made = std::make_shared<connection>(loop_, std::move(socket),
                                                   allocators_->CreateMemoryAllocator("a server's connection"), peer);
    made->start();
    on_accept_(std::make_unique<endpoint>(made), allocators_->CreateMemoryAllocator("a server's connection"));
  } else {
    ::close(descriptor);
  }
  {
    const std::lock_guard lock(mutex_);
    --turns_that_accept_;
  }
  notify_when_over();
}

void accepting::shut_down() noexcept {
  close();
  {
    const std::lock_guard lock(mutex_);
    is_shut_down_ = true;
  }
  notify_when_over();
}

void accepting::close() noexcept {
  std::vector<std::shared_ptr<bound_socket>> closed;
  const std::lock_guard lock(mutex_);
  closed.swap(sockets_);
  for (const auto& each : closed) {
    boost::system::error_code ignored;
    (void)each->socket.close(ignored);  // NOLINT(bugprone-unused-return-value): nothing can be done about it
  }
}

void accepting::notify_when_over() {
  shutdown_callback over;
  {
    const std::lock_guard lock(mutex_);
    if (is_shut_down_ && turns_that_accept_ == 0) over = std::exchange(on_shutdown_, nullptr);
  }
  if (over) loop_->run(task::function([over = std::move(over)]() mutable { over(absl::OkStatus()); }));
}

}  // namespace conn_grpc::engine
