// SPDX-License-Identifier: BSL-1.0
#include "support/tls_listener.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "support/listener.hpp"

namespace conn_grpc::test {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

int select_h2(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char*, unsigned, void*) {
  *chosen = reinterpret_cast<const unsigned char*>("h2");
  *size = 2;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

tls_listener::tls_listener(asio::io_context& io, const std::string& chain, const std::string& key)
    : acceptor_(io, {asio::ip::address_v4::loopback(), 0}), context_(asio::ssl::context::tlsv12_server) {
  context_.use_certificate_chain_file(chain);
  context_.use_private_key_file(key, asio::ssl::context::pem);
  ::SSL_CTX_set_alpn_select_cb(context_.native_handle(), select_h2, nullptr);
  asio::co_spawn(io, accept(), asio::detached);
}

std::string tls_listener::address() const { return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }

asio::awaitable<void> tls_listener::accept() {
  for (;;) {
    auto [error, socket] = co_await acceptor_.async_accept(no_throw);
    if (error) co_return;
    asio::co_spawn(acceptor_.get_executor(), treat(std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> tls_listener::treat(tcp::socket socket) {
  asio::ssl::stream<tcp::socket> stream(std::move(socket), context_);
  if (auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, no_throw); error) co_return;
  ++handshakes_;
  resumed_ += ::SSL_session_reused(stream.native_handle()) != 0 ? 1 : 0;
  (void)co_await asio::async_write(stream, asio::buffer(empty_settings), no_throw);
  std::array<char, 4096> buffer;
  for (;;) {
    auto [error, size] = co_await stream.async_read_some(asio::buffer(buffer), no_throw);
    if (error) co_return;
  }
}

}  // namespace conn_grpc::test
