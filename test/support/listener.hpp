// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace conn_grpc::test {

/// RFC 9113, 4.1 and 6.5: length 0, type SETTINGS, no flags, stream 0.
inline constexpr std::string_view empty_settings{"\0\0\0\4\0\0\0\0\0", 9};

/// The same, and RFC 9113, 6.8: GOAWAY, length 8, last stream 2^31 - 1, NO_ERROR.
inline constexpr std::string_view settings_and_goaway{
    "\0\0\0\4\0\0\0\0\0"
    "\0\0\x8\7\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0",
    26};

/// Errors of a peer's sockets are returned, and not thrown.
inline constexpr auto no_throw = boost::asio::as_tuple(boost::asio::deferred);

/// What a listener does with each connection that it accepts.
enum class manner {
  closes,                  // accepts and closes
  speaks_http1,            // answers like a web server
  flaps,                   // sends SETTINGS, so that gRPC says READY, and closes
  stays_silent,            // accepts, and never writes
  says_goaway,             // sends SETTINGS and GOAWAY at once, and does not accept again
  says_goaway_and_closes,  // the same, and closes after 100 ms
};

/// A TCP server that is not a gRPC server, on the loopback and on the test's io_context.
class listener {
 public:
  listener(boost::asio::io_context& io, manner m);

  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::size_t accepted() const { return accepted_at_.size(); }
  [[nodiscard]] const std::vector<std::chrono::steady_clock::time_point>& accepted_at() const { return accepted_at_; }
  /// Connections of a silent listener that the client has closed.
  [[nodiscard]] std::size_t closed_by_client() const { return closed_by_client_; }

 private:
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> treat(boost::asio::ip::tcp::socket socket);

  boost::asio::ip::tcp::acceptor acceptor_;
  manner manner_;
  std::vector<std::chrono::steady_clock::time_point> accepted_at_;
  std::size_t closed_by_client_ = 0;
};

/// Forwards what clients send to a port of the loopback, and what comes back.
class relay {
 public:
  relay(boost::asio::io_context& io, std::uint16_t port);

  [[nodiscard]] std::string address() const;
  [[nodiscard]] int accepted() const { return accepted_; }

 private:
  boost::asio::awaitable<void> accept();

  boost::asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  int accepted_ = 0;
};

/// A DNS server that knows no name: it answers every question with NXDOMAIN.
class nxdomain_server {
 public:
  explicit nxdomain_server(boost::asio::io_context& io);
  [[nodiscard]] std::string authority() const;

 private:
  boost::asio::awaitable<void> answer();

  boost::asio::ip::udp::socket socket_;
};

}  // namespace conn_grpc::test
