// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/connection.hpp"
#include "engine/event_loop.hpp"
#include "engine/socket_options.hpp"

#include <absl/status/status.h>
#include <grpc/event_engine/event_engine.h>
#include <grpc/event_engine/memory_allocator.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace conn_grpc::engine {

class connecting;

/// The attempts that are under way, by number. Thread-safe.
class connecting_set {
 public:
  std::int64_t add(const std::shared_ptr<connecting>& attempt);
  /// Null when the attempt has ended.
  std::shared_ptr<connecting> take(std::int64_t number);

 private:
  std::mutex mutex_;
  std::int64_t last_ = 0;
  std::unordered_map<std::int64_t, std::shared_ptr<connecting>> attempts_;
};

/// One attempt to connect. It ends once: connected, failed, timed out, or cancelled.
///
/// *Thread safety*: all functions.
class connecting final : public event_loop::user, public std::enable_shared_from_this<connecting> {
 public:
  connecting(std::shared_ptr<event_loop> loop, std::shared_ptr<connecting_set> all,
             EventEngine::OnConnectCallback called, const socket_address& address, socket_options options,
             MemoryAllocator allocator);

  /// @returns the number of the attempt.
  std::int64_t start(event_loop::clock::duration timeout);

  /// Takes the callback of the attempt away. Called by the one that has taken it from the set.
  EventEngine::OnConnectCallback cancel();

  void detached() noexcept override;
  void begin() noexcept override;

 private:
  void connected(boost::system::error_code error);
  void fail(const absl::Status& why);
  [[nodiscard]] boost::system::error_code open(asio::io_context& context);
  EventEngine::OnConnectCallback release();

  const std::shared_ptr<event_loop> loop_;
  const std::shared_ptr<connecting_set> all_;
  const socket_address address_;
  const socket_options options_;
  std::int64_t number_ = 0;

  std::mutex mutex_;
  EventEngine::OnConnectCallback called_;
  MemoryAllocator allocator_;
  std::optional<stream_socket> socket_;
  timer_handle timeout_;
  bool detached_ = false;
  std::optional<event_loop::registration> registration_;
};

}  // namespace conn_grpc::engine
