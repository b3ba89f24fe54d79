// SPDX-License-Identifier: BSL-1.0
#include "support/listener.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string_view>
#include <utility>

namespace conn_grpc::test {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

namespace {

constexpr std::string_view http1_answer = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

using socket_ptr = std::shared_ptr<tcp::socket>;

asio::awaitable<void> pass_on(socket_ptr from, socket_ptr to) {
  std::array<char, 4096> buffer;
  for (;;) {
    const auto [read_error, size] = co_await from->async_read_some(asio::buffer(buffer), no_throw);
    if (read_error) break;
    const auto [write_error, written] = co_await asio::async_write(*to, asio::buffer(buffer, size), no_throw);
    if (write_error) break;
  }
  to->close();
}

}  // namespace

listener::listener(asio::io_context& io, manner m) : acceptor_(io, {asio::ip::address_v4::loopback(), 0}), manner_(m) {
  asio::co_spawn(io, accept(), asio::detached);
}

std::string listener::address() const { return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }

asio::awaitable<void> listener::accept() {
  for (;;) {
    auto [error, socket] = co_await acceptor_.async_accept(no_throw);
    if (error) co_return;
    accepted_at_.push_back(std::chrono::steady_clock::now());
    asio::co_spawn(acceptor_.get_executor(), treat(std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> listener::treat(tcp::socket socket) {
  std::array<char, 4096> buffer;
  if (manner_ == manner::closes) co_return;
  // Wait for the client's preface: to close with unread data would reset the connection
  // before the client reads the answer.
  (void)co_await socket.async_read_some(asio::buffer(buffer), no_throw);
  if (manner_ == manner::speaks_http1) (void)co_await asio::async_write(socket, asio::buffer(http1_answer), no_throw);
  if (manner_ == manner::says_goaway || manner_ == manner::says_goaway_and_closes) {
    acceptor_.close();
    (void)co_await asio::async_write(socket, asio::buffer(settings_and_goaway), no_throw);
  }
  if (manner_ == manner::says_goaway_and_closes) {
    asio::steady_timer open(acceptor_.get_executor(), std::chrono::milliseconds(100));
    (void)co_await open.async_wait(no_throw);
  }
  if (manner_ == manner::flaps) (void)co_await asio::async_write(socket, asio::buffer(empty_settings), no_throw);
  if (manner_ != manner::stays_silent && manner_ != manner::says_goaway) co_return;
  for (;;) {
    auto [error, size] = co_await socket.async_read_some(asio::buffer(buffer), no_throw);
    if (error) break;
  }
  ++closed_by_client_;
}

relay::relay(asio::io_context& io, std::uint16_t port)
    : acceptor_(io, {asio::ip::address_v4::loopback(), 0}), port_(port) {
  asio::co_spawn(io, accept(), asio::detached);
}

std::string relay::address() const { return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }

asio::awaitable<void> relay::accept() {
  for (;;) {
    auto [error, accepted] = co_await acceptor_.async_accept(no_throw);
    if (error) co_return;
    ++accepted_;
    const auto client = std::make_shared<tcp::socket>(std::move(accepted));
    const auto server = std::make_shared<tcp::socket>(acceptor_.get_executor());
    server->connect({asio::ip::address_v4::loopback(), port_});
    asio::co_spawn(acceptor_.get_executor(), pass_on(client, server), asio::detached);
    asio::co_spawn(acceptor_.get_executor(), pass_on(server, client), asio::detached);
  }
}

nxdomain_server::nxdomain_server(asio::io_context& io) : socket_(io, {asio::ip::address_v4::loopback(), 0}) {
  asio::co_spawn(io, answer(), asio::detached);
}

std::string nxdomain_server::authority() const {
  return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port());
}

asio::awaitable<void> nxdomain_server::answer() {
  std::array<unsigned char, 512> message;
  for (;;) {
    udp::endpoint client;
    auto [error, size] = co_await socket_.async_receive_from(asio::buffer(message), client, no_throw);
    if (error || size < 12) co_return;
    // RFC 1035, 4.1.1: the question comes back as a response (QR, RD) with recursion
    // available and RCODE 3.
    message[2] = 0x81;
    message[3] = 0x83;
    (void)co_await socket_.async_send_to(asio::buffer(message.data(), size), client, no_throw);
  }
}

}  // namespace conn_grpc::test
