// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <string>

namespace conn_grpc::test {

/// A server of TLS 1.2, whose clients may resume their sessions. To a client that accepts
/// its certificate it sends what makes gRPC say READY.
class tls_listener {
 public:
  /// @param chain,key PEM files.
  tls_listener(boost::asio::io_context& io, const std::string& chain, const std::string& key);

  [[nodiscard]] std::string address() const;
  /// Handshakes that succeeded for the server, and those of them that sent no
  /// certificate, because a session was resumed.
  [[nodiscard]] int handshakes() const { return handshakes_; }
  [[nodiscard]] int resumed() const { return resumed_; }

 private:
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> treat(boost::asio::ip::tcp::socket socket);

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ssl::context context_;
  int handshakes_ = 0;
  int resumed_ = 0;
};

}  // namespace conn_grpc::test
