// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "engine/event_loop.hpp"
#include "engine/unsent_bytes.hpp"

#include <absl/status/status.h>
#include <grpc/event_engine/event_engine.h>
#include <grpc/event_engine/memory_allocator.h>
#include <grpc/event_engine/slice_buffer.h>
#include <boost/asio/generic/stream_protocol.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

namespace conn_grpc::engine {

using grpc_event_engine::experimental::MemoryAllocator;
using stream_socket = asio::generic::stream_protocol::socket;
using socket_address = EventEngine::ResolvedAddress;

/// A connected socket that gRPC reads from and writes to.
///
/// A read waits until the socket is readable. So with one thread that runs the context, the RPCs that
/// end with what was read are completed before more is read. A write is tried at once, or put off
/// while gRPC may write more soon, in other callbacks or in turns that are ready. gRPC collects that.
/// When it is time to send, the connection tells gRPC that the write has ended. gRPC then writes the
/// rest, and the connection sends both together. Asio only waits until the socket is ready. The
/// connection itself reads and writes, so the stand-in thread can do that, too.
///
/// *Thread safety*: all functions. gRPC has at most one read and one write pending.
class connection final : public event_loop::user, public std::enable_shared_from_this<connection> {
 public:
  using callback = absl::AnyInvocable<void(absl::Status)>;

  connection(std::shared_ptr<event_loop> loop, stream_socket socket, MemoryAllocator allocator,
             const socket_address& peer);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Registers with the loop. Call it once, before all others.
  void start();

  /// As EventEngine::Endpoint. Always calls back later.
  void read(callback called, SliceBuffer* into, std::int64_t hint);
  /// As EventEngine::Endpoint: true when it has succeeded, and will not call back.
  bool write(callback called, SliceBuffer* from);

  /// Ends pending reads and writes with that status, and closes the socket. Before that it sends the
  /// bytes that gRPC was told are sent. While the peer does not read them, the socket stays open, at
  /// the latest until the loop is detached.
  void close(const absl::Status& why) noexcept;

  [[nodiscard]] const socket_address& peer() const noexcept { return peer_; }
  [[nodiscard]] const socket_address& local() const noexcept { return local_; }

  void detached() noexcept override;
  void begin() noexcept override;
  void flush() override;
  void try_again() override;

 private:
  struct send_result {
    absl::Status error;
    SliceBuffer slices;  // to be destroyed without the mutex: that may call a function of the user's
  };
  struct pending_read {
    callback called;
    SliceBuffer* buffer = nullptr;
    explicit operator bool() const noexcept { return buffer != nullptr; }
  };

  void fail_later(callback called, const absl::Status& why);
  void make_room(std::int64_t hint);
  void take_bytes(std::size_t size, SliceBuffer& into);
  [[nodiscard]] std::ptrdiff_t receive(stream_socket& socket);
  /// Returns false when it must wait for the socket.
  [[nodiscard]] bool continue_reading();
  /// Returns false when it must wait for the socket.
  [[nodiscard]] bool send(stream_socket& socket, send_result& result);
  [[nodiscard]] bool has_unsent() { return writing_ || !unsent_.empty(); }
  /// Returns false when it must wait for the socket.
  [[nodiscard]] bool continue_writing();
  void end(const absl::Status& why, bool may_linger) noexcept;
  /// Waits for the socket, and then calls `go_on`.
  /// @param waits a member, and true until the socket is ready.
  void wait(stream_socket::wait_type ready, bool& waits, bool (connection::*go_on)(), asio::io_context& context);

  const std::shared_ptr<event_loop> loop_;
  MemoryAllocator allocator_;
  const socket_address peer_;
  socket_address local_;
  std::optional<event_loop::registration> registration_;

  // Used by the one read that is pending.
  grpc_slice room_;         // what the next bytes are read into
  std::size_t usual_size_;  // of a read
  bool has_read_ = false;

  // Callbacks that the last read has led to. The next read may run on another thread.
  std::atomic<std::uint64_t> callbacks_of_read_{0};

  mutable std::mutex mutex_;
  std::optional<stream_socket> socket_;  // empty once closed
  absl::Status closed_;
  pending_read reading_;
  callback writing_;  // of the write that is pending; `unsent_` may have more than this write
  unsent_bytes unsent_;
  bool reported_as_sent_ = false;  // gRPC was told that bytes of `unsent_` are sent
  absl::Status send_error_;        // set when a send has failed; nothing is sent after that
  bool read_waits_ = false;        // for Asio
  bool write_waits_ = false;       // for Asio
  bool write_is_put_off_ = false;
  bool is_calling_back_ = false;  // the end of a write
};

/// gRPC's end of a connection. Its destruction closes it.
class endpoint final : public EventEngine::Endpoint {
 public:
  explicit endpoint(std::shared_ptr<connection> used) : connection_(std::move(used)) {}
  ~endpoint() override { connection_->close(absl::CancelledError("the endpoint was destroyed")); }
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;

  bool Read(absl::AnyInvocable<void(absl::Status)> on_read, SliceBuffer* buffer, ReadArgs args) override {
    connection_->read(std::move(on_read), buffer, args.read_hint_bytes());
    return false;
  }
  bool Write(absl::AnyInvocable<void(absl::Status)> on_writable, SliceBuffer* data, WriteArgs) override {
    return connection_->write(std::move(on_writable), data);
  }
  [[nodiscard]] const socket_address& GetPeerAddress() const override { return connection_->peer(); }
  [[nodiscard]] const socket_address& GetLocalAddress() const override { return connection_->local(); }
  [[nodiscard]] std::shared_ptr<TelemetryInfo> GetTelemetryInfo() const override { return nullptr; }

 private:
  const std::shared_ptr<connection> connection_;
};

/// The protocol of sockets that connect to, or accept from, an address of that family.
[[nodiscard]] asio::generic::stream_protocol protocol_of(int family);

/// The local address of a socket.
[[nodiscard]] socket_address local_address_of(int descriptor);

}  // namespace conn_grpc::engine
