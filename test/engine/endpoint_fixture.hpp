// SPDX-License-Identifier: BSL-1.0
// The engine through gRPC's interface, without gRPC's channels.
#pragma once

#include <grpc/event_engine/internal/memory_allocator_impl.h>
#include <grpc/slice.h>

#include <absl/status/statusor.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/io_engine.hpp"
#include "support/background.hpp"

namespace conn_grpc::test {

namespace asio = boost::asio;
using engine::EventEngine;
using engine::MemoryAllocator;
using engine::SliceBuffer;
using engine::socket_address;
using grpc_event_engine::experimental::MemoryRequest;

class plain_allocator final : public grpc_event_engine::experimental::internal::MemoryAllocatorImpl {
 public:
  size_t Reserve(MemoryRequest request) override { return request.max(); }
  grpc_slice MakeSlice(MemoryRequest request) override { return ::grpc_slice_malloc(request.max()); }
  void Release(size_t) override {}
  void Shutdown() override {}
};

class no_config final : public grpc_event_engine::experimental::EndpointConfig {
 public:
  std::optional<int> GetInt(absl::string_view) const override { return {}; }
  std::optional<absl::string_view> GetString(absl::string_view) const override { return {}; }
  void* GetVoidPointer(absl::string_view) const override { return nullptr; }
};

using endpoint_ptr = std::unique_ptr<EventEngine::Endpoint>;

inline socket_address address_of(const asio::ip::tcp::acceptor& acceptor) {
  const auto endpoint = acceptor.local_endpoint();
  return {endpoint.data(), static_cast<socklen_t>(endpoint.size())};
}

/// Sends back what it gets.
class echo_server {
 public:
  echo_server() { asio::co_spawn(io_, accept(), asio::detached); }

  [[nodiscard]] socket_address address() const { return address_of(acceptor_); }

 private:
  asio::awaitable<void> accept() {
    while (true) {
      auto socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(io_, echo(std::move(socket)), asio::detached);
    }
  }
  static asio::awaitable<void> echo(asio::ip::tcp::socket socket) {
    std::vector<char> bytes(64 * 1024);
    while (true) {
      const auto size = co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
      co_await asio::async_write(socket, asio::buffer(bytes.data(), size), asio::use_awaitable);
    }
  }

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  background thread_{io_};
};

inline absl::StatusOr<endpoint_ptr> connect(EventEngine& engine, const socket_address& to,
                                            EventEngine::Duration timeout = std::chrono::seconds(20)) {
  std::promise<absl::StatusOr<endpoint_ptr>> connected;
  engine.Connect([&](absl::StatusOr<endpoint_ptr> result) { connected.set_value(std::move(result)); }, to, no_config(),
                 MemoryAllocator(std::make_shared<plain_allocator>()), timeout);
  return connected.get_future().get();
}

}  // namespace conn_grpc::test
