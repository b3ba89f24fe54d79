// SPDX-License-Identifier: BSL-1.0
// http_gateway IP PORT GRACE_MS BACKEND...: an HTTP gateway in front of the backends of a gRPC service. Port 0 is any
// free port. On SIGTERM or SIGINT the requests in flight have GRACE_MS to end.
//   GET /hello/NAME   a unary RPC
//   GET /countdown/N  a stream of replies, one chunk of the answer for each of them
//   GET /ready        200 while a channel is connected; 503 otherwise, and after the signal
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <conn_grpc/conn_grpc.hpp>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "greeter.grpc.pb.h"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using conn_grpc::test::CountdownReply;
using conn_grpc::test::CountdownRequest;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

// Operations of these types return a tuple with an error_code, and do not throw.
using no_throw = asio::as_tuple_t<asio::use_awaitable_t<>>;
using tcp_acceptor = no_throw::as_default_on_t<tcp::acceptor>;
using tcp_stream = no_throw::as_default_on_t<beast::tcp_stream>;

using http_request = http::request<http::string_body>;
using http_response = http::response<http::string_body>;

constexpr auto network_timeout = 30s;  // for a client that sends no request, or takes no answer

// HTTP's status for each grpc::StatusCode, from OK to UNAUTHENTICATED, as google/rpc/code.proto has them.
http::status http_status(grpc::StatusCode code) {
  constexpr std::array by_code{200U, 499U, 500U, 400U, 504U, 404U, 409U, 403U, 429U,
                               400U, 409U, 400U, 501U, 500U, 503U, 500U, 401U};
  const auto index = static_cast<std::size_t>(code);
  return http::int_to_status(index < by_code.size() ? by_code.at(index) : 500U);
}

/// The connection closes after a 503, so that the client of a gateway that stops connects to another gateway.
http_response answer(const http_request& to, http::status status, std::string_view text) {
  http_response result(status, to.version());
  result.set(http::field::content_type, "text/plain");
  result.set(http::field::allow, "GET");
  result.keep_alive(to.keep_alive() && to.method() == http::verb::get && status != http::status::service_unavailable);
  result.body().append(text).append("\n");
  result.prepare_payload();
  return result;
}

/// The text of the status contains addresses of backends. A public gateway should log it and not send it.
http_response answer(const http_request& to, const grpc::Status& failed) {
  return answer(to, http_status(failed.error_code()), failed.error_message());
}

//[options
conn_grpc::pool_options options_for(std::vector<std::string> backends) {
  return {.name = "greeter",
          .pool_size = 2,  // connections to each backend
          .channel = {.backoff = {.min = 100ms, .max = 2s}, .health_service = ""},
          .addresses = std::move(backends),
          .pick = conn_grpc::pick_policy::least_loaded};
}
//]

//[limit
// Without a connected channel the call fails at once. With `timeout` it would wait for a channel.
conn_grpc::call_options within(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::system_clock::now() + limit;
  return {.prepare = [deadline](grpc::ClientContext& context) { context.set_deadline(deadline); },
          .retries = conn_grpc::retry::idempotent};
}
//]

//[unary
asio::awaitable<http_response> hello(const conn_grpc::client<Greeter>& greeter, const http_request& to,
                                     std::string_view name) {
  HelloRequest request;
  request.set_name(std::string(name));
  HelloReply reply;
  const auto status = co_await greeter.call(&Greeter::Stub::async::SayHello, request, reply, within(10s));
  co_return status.ok() ? answer(to, http::status::ok, reply.message()) : answer(to, status);
}
//]

//[chunks
// One chunk for each message. The next message is read when the chunk has been written, so a slow client slows the
// backend down.
asio::awaitable<void> send_chunks(tcp_stream& client, const http_request& to,
                                  conn_grpc::read_stream<CountdownReply>& in) {
  CountdownReply reply;
  grpc::Status status;
  bool more = co_await in.read(reply);
  if (!more) status = co_await in.finish();
  client.expires_after(network_timeout);
  if (!status.ok()) {
    const auto failed = answer(to, status);
    co_await http::async_write(client, failed);
    co_return;
  }
  http::response<http::empty_body> head(http::status::ok, to.version());
  head.set(http::field::content_type, "text/plain");
  head.keep_alive(false);
  head.chunked(true);
  http::response_serializer<http::empty_body> serializer(head);
  auto [ec, size] = co_await http::async_write_header(client, serializer);
  while (!ec && more) {
    const std::string line = std::to_string(reply.number()) + "\n";
    client.expires_after(network_timeout);
    std::tie(ec, size) = co_await asio::async_write(client, http::make_chunk(asio::buffer(line)));
    if (!ec) more = co_await in.read(reply);
    if (!more) status = co_await in.finish();
  }
  // Without a last chunk the client knows that the answer is not complete.
  if (!ec && status.ok()) co_await asio::async_write(client, http::make_chunk_last());
}
//]

/// Completes when the client has closed the connection, or its sending side.
asio::awaitable<void> gone(tcp_stream::socket_type& client) {
  std::array<char, 512> ignored{};
  for (boost::system::error_code ec; !ec;)
    std::tie(ec, std::ignore) = co_await client.async_read_some(asio::buffer(ignored));
}

//[stream
// The operation that ends first cancels the other. So the RPC is cancelled when its client has gone.
asio::awaitable<void> countdown(const conn_grpc::client<Greeter>& greeter, tcp_stream& client, const http_request& to,
                                int from) {
  CountdownRequest request;
  request.set_from(from);
  auto in = co_await greeter.open(&Greeter::Stub::async::Countdown, request, within(1h));
  co_await (send_chunks(client, to, in) || gone(client.socket()));
}
//]

//[ready
http_response ready(const conn_grpc::pool& pool, const http_request& to) {
  std::size_t connected = 0;
  std::size_t in_flight = 0;
  for (const auto& channel : pool.status().channels) {
    if (channel.state == conn_grpc::channel_state::connected) ++connected;  // while the pool drains, it is `draining`
    in_flight += channel.in_flight;
  }
  return answer(to, connected > 0 ? http::status::ok : http::status::service_unavailable,
                std::to_string(connected) + " connected, " + std::to_string(in_flight) + " in flight");
}
//]

struct gateway {
  asio::io_context& io;
  conn_grpc::pool pool;
  conn_grpc::client<Greeter> greeter{pool};
  std::atomic<int> unfinished{1};  // requests that are being answered, and 1 until the pool has been drained

  void finish_one() {
    if (--unfinished == 0) io.stop();
  }
};

/// Returns whether the connection stays open.
asio::awaitable<bool> serve(gateway& gate, tcp_stream& client, const http_request& to) {
  const std::string_view path(to.target().data(), to.target().size());
  const auto after = [path](std::string_view prefix) {
    return path.substr(path.starts_with(prefix) ? prefix.size() : path.size());
  };
  const auto name = after("/hello/");
  const auto number = after("/countdown/");
  auto response = answer(to, http::status::not_found, "no such path");
  if (to.method() != http::verb::get) {
    response = answer(to, http::status::method_not_allowed, "only GET");
  } else if (path == "/ready") {
    response = ready(gate.pool, to);
  } else if (!name.empty()) {
    response = co_await hello(gate.greeter, to, name);
  } else if (!number.empty()) {
    int from = 0;
    std::from_chars(number.data(), number.data() + number.size(), from);
    if (from > 0 && to.version() >= 11) {  // HTTP/1.0 has no chunks
      co_await countdown(gate.greeter, client, to, from);
      co_return false;
    }
    response = answer(to, http::status::bad_request, "needs a number above zero, and HTTP/1.1");
  }
  client.expires_after(network_timeout);
  const auto [ec, size] = co_await http::async_write(client, response);
  co_return !ec && response.keep_alive();
}

asio::awaitable<void> session(tcp_stream client, gateway& gate) {
  boost::system::error_code ec;
  client.socket().set_option(tcp::no_delay(true), ec);
  beast::flat_buffer buffer;
  for (bool stays_open = true; stays_open;) {
    http_request request;
    client.expires_after(network_timeout);
    std::tie(ec, std::ignore) = co_await http::async_read(client, buffer, request);
    if (ec) break;
    ++gate.unfinished;
    stays_open = co_await serve(gate, client, request);
    gate.finish_one();
  }
  client.socket().shutdown(tcp::socket::shutdown_send, ec);
}

/// Each connection has a strand, as several threads run the io_context.
asio::awaitable<void> accept(tcp_acceptor acceptor, gateway& gate) {
  asio::steady_timer pause(gate.io);
  for (;;) {
    const asio::any_io_executor strand = asio::make_strand(gate.io);
    auto [ec, socket] = co_await acceptor.async_accept(strand);
    if (!ec) asio::co_spawn(strand, session(tcp_stream(std::move(socket)), gate), asio::detached);
    pause.expires_after(ec ? 100ms : 0ms);  // the process may have no free descriptor
    co_await pause.async_wait(asio::use_awaitable);
  }
}

//[drain
asio::awaitable<void> drain(asio::signal_set& signals, gateway& gate, std::chrono::milliseconds grace) {
  co_await signals.async_wait(asio::use_awaitable);
  co_await gate.pool.drain(grace);  // /ready and new requests get a 503; RPCs in flight end, or the time is over
  gate.finish_one();                // the end of the last answer stops the io_context
  asio::steady_timer limit(gate.io, 1s);
  co_await limit.async_wait(asio::use_awaitable);
  gate.io.stop();  // RPCs that are still in flight are cancelled when the io_context is destroyed
}
//]

/// An exception of these coroutines (no memory) ends the process.
void terminate_if(const std::exception_ptr& thrown) noexcept {
  if (thrown) std::rethrow_exception(thrown);
}

void run(const tcp::endpoint& at, std::chrono::milliseconds grace, std::vector<std::string> backends) {
  asio::io_context io(2);
  gateway gate{.io = io, .pool{io, options_for(std::move(backends))}};
  tcp_acceptor acceptor(io, at);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  std::cout << "listening on " << acceptor.local_endpoint() << std::endl;

  gate.pool.async_run(asio::detached);
  asio::co_spawn(io, accept(std::move(acceptor), gate), terminate_if);
  asio::co_spawn(io, drain(signals, gate, grace), terminate_if);
  const std::jthread second([&io] { io.run(); });
  io.run();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 4) return 2;
  try {
    run({asio::ip::make_address(arguments[0]), static_cast<unsigned short>(std::stoi(arguments[1]))},
        std::chrono::milliseconds(std::stoi(arguments[2])), {arguments.begin() + 3, arguments.end()});
  } catch (const std::exception& e) {
    std::cerr << e.what() << std::endl;
    return EXIT_FAILURE;
  }
}
