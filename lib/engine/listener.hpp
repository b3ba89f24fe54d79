// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/connection.hpp"
#include "engine/event_loop.hpp"
#include "engine/socket_options.hpp"

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <grpc/event_engine/event_engine.h>
#include <grpc/event_engine/memory_allocator.h>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace conn_grpc::engine {

/// The sockets of one server, which accept connections.
///
/// *Thread safety*: all functions.
class accepting final : public event_loop::user, public std::enable_shared_from_this<accepting> {
 public:
  using accept_callback = EventEngine::Listener::AcceptCallback;
  using shutdown_callback = absl::AnyInvocable<void(absl::Status)>;
  using allocator_factory = grpc_event_engine::experimental::MemoryAllocatorFactory;

  static std::shared_ptr<accepting> make(std::shared_ptr<event_loop> loop, accept_callback on_accept,
                                         shutdown_callback on_shutdown, socket_options options,
                                         std::unique_ptr<allocator_factory> allocators);

  /// @returns the port. For a unix socket it is 1, as with gRPC's own engine.
  absl::StatusOr<int> bind(const socket_address& address);
  absl::Status start();
  /// Closes the sockets. When no connection is being accepted any more, `on_shutdown` is called.
  void shut_down() noexcept;

  void detached() noexcept override { close(); }
  void begin() noexcept override;

 private:
  accepting(std::shared_ptr<event_loop> loop, accept_callback on_accept, shutdown_callback on_shutdown,
            socket_options options, std::unique_ptr<allocator_factory> allocators);

  struct bound_socket {
    asio::posix::stream_descriptor socket;
    bool waits = false;  // for Asio
  };

  void wait(const std::shared_ptr<bound_socket>& bound, asio::io_context& context);
  void accept_from(const std::shared_ptr<bound_socket>& bound);
  void accept(int descriptor, const socket_address& peer);
  void wait_again(bound_socket& bound);
  void close() noexcept;
  void notify_when_over();

  const std::shared_ptr<event_loop> loop_;
  const socket_options options_;
  const std::unique_ptr<allocator_factory> allocators_;
  accept_callback on_accept_;

  std::mutex mutex_;
  shutdown_callback on_shutdown_;
  std::vector<std::shared_ptr<bound_socket>> sockets_;  // none once closed
  bool is_started_ = false;
  bool is_shut_down_ = false;
  int turns_that_accept_ = 0;
  std::optional<event_loop::registration> registration_;
};

/// gRPC's handle of a server's sockets. Its destruction closes them.
class listener final : public EventEngine::Listener {
 public:
  explicit listener(std::shared_ptr<accepting> used) : accepting_(std::move(used)) {}
  ~listener() override { accepting_->shut_down(); }
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  absl::StatusOr<int> Bind(const socket_address& address) override { return accepting_->bind(address); }
  absl::Status Start() override { return accepting_->start(); }

 private:
  const std::shared_ptr<accepting> accepting_;
};

}  // namespace conn_grpc::engine
