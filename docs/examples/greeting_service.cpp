// SPDX-License-Identifier: BSL-1.0
#include "greeting_service.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/unary.hpp>

#include <algorithm>
#include <utility>

#include "greeter.grpc.pb.h"

namespace demo {

using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto period = 50ms;  // of each caller

greeting_service::greeting_service(asio::io_context& io, const std::string& server_address, bool log_transitions)
    : io_(io),
      pool_(io, {.name = "greeter",
                 .pool_size = connections,
                 .channel = {.address = server_address,
                             .backoff = {.min = 300ms, .max = 2s},
                             .debug = log_transitions,
                             .on_connect = [this] { last_connect_ = steady_clock::now(); },
                             .on_disconnect = [this] { last_disconnect_ = steady_clock::now(); }}}) {}

void greeting_service::connect() { pool_.async_run(asio::detached); }

void greeting_service::make_calls() {
  // One after the other, so that they do not call in step.
  for (int i = 0; i < callers; ++i)
    asio::co_spawn(io_, keep_calling("caller " + std::to_string(i), i * period / callers), asio::detached);
}

void greeting_service::stop() { pool_.stop(); }

asio::awaitable<void> greeting_service::keep_calling(std::string caller, std::chrono::milliseconds after) {
  asio::steady_timer pause(co_await asio::this_coro::executor, after);
  for (;;) {
    co_await pause.async_wait(asio::use_awaitable);
    const auto begin = steady_clock::now();
    try {
      ++(co_await say_hello(caller) ? calls_.ok : calls_.failed);
    } catch (const boost::system::system_error& e) {
      if (e.code() == conn_grpc::errc::stopped) co_return;
      ++calls_.turned_away;
    }
    calls_.slowest = std::max(calls_.slowest, steady_clock::now() - begin);
    pause.expires_at(pause.expiry() + period);
  }
}

/// One call. Throws what get_channel() throws: without a connection there is none, and no wait either.
asio::awaitable<bool> greeting_service::say_hello(std::string name) {
  const auto stub = Greeter::NewStub(co_await pool_.get_channel());

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 1s);
  HelloRequest request;
  request.set_name(std::move(name));
  request.set_delay_ms(20);
  HelloReply reply;
  const grpc::Status status =
      co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  co_return status.ok();
}

}  // namespace demo
