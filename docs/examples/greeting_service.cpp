// SPDX-License-Identifier: BSL-1.0
#include "greeting_service.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/unary.hpp>

#include <array>
#include <memory>
#include <utility>

#include "greeter.grpc.pb.h"

namespace demo {

using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto handler_time = 20ms;   // of each RPC
constexpr auto pause_between = 30ms;  // of each caller

greeting_service::greeting_service(asio::io_context& io, const std::vector<std::string>& addresses,
                                   bool log_transitions)
    : io_(io), pool_(io, options(addresses, log_transitions)) {
  for (const auto& address : addresses) records_[address];
}

conn_grpc::pool_options greeting_service::options(const std::vector<std::string>& addresses, bool log_transitions) {
  static constexpr std::array events{conn_grpc::event::channel_connected, conn_grpc::event::channel_connection_failed,
                                     conn_grpc::event::channel_disconnected};
  const auto telemetry = std::make_shared<conn_grpc::telemetry>();
  telemetry->attach_many("greeting_service", events, [this](const auto& event) { on_event(event); });
  return {.name = "greeter",
          .pool_size = connections,
          .channel = {.backoff = {.min = 200ms, .max = 500ms},
                      .connect_timeout = 500ms,  // a frozen backend accepts connections, and stays silent
                      .debug = log_transitions,
                      .telemetry = telemetry},
          .addresses = addresses};
}

void greeting_service::connect() { pool_.async_run(asio::detached); }

void greeting_service::make_calls() {
  // One after the other, so that they do not call in step.
  for (int i = 0; i < callers; ++i) {
    ++callers_left_;
    asio::co_spawn(io_, keep_calling("caller " + std::to_string(i), i * (handler_time + pause_between) / callers),
                   [this](const std::exception_ptr&) { --callers_left_; });
  }
}

asio::awaitable<void> greeting_service::keep_calling(std::string caller, std::chrono::milliseconds after) {
  asio::steady_timer pause(co_await asio::this_coro::executor, after);
  for (;;) {
    co_await pause.async_wait(asio::use_awaitable);
    try {
      co_await say_hello(caller);
    } catch (const boost::system::system_error& e) {
      if (e.code() == conn_grpc::errc::stopped) co_return;
      ++rpcs_.without_channel;
    }
    pause.expires_after(pause_between);
  }
}

/// One RPC. Throws what get_channel() throws.
asio::awaitable<void> greeting_service::say_hello(const std::string& name) {
  const auto channel = co_await pool_.get_channel(1s);
  const auto stub = Greeter::NewStub(channel);

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  HelloRequest request;
  request.set_name(name);
  request.set_delay_ms(handler_time.count());
  HelloReply reply;
  const grpc::Status status =
      co_await conn_grpc::unary(*stub, &Greeter::Stub::async::SayHello, context, request, reply);
  // The backend may be frozen: the pool is to connect again, or to leave it.
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) pool_.suspect(channel, "no answer");
  count(status, context.peer());
}

/// The peer ends with the address that the channel leads to, for example "ipv4:127.0.0.1:50051".
void greeting_service::count(const grpc::Status& status, std::string_view peer) {
  rpcs_.add(status);
  for (auto& [address, record] : records_)
    if (peer.ends_with(address)) record.rpcs.add(status);
}

void greeting_service::on_event(const conn_grpc::telemetry_event& event) {
  const auto found = records_.find(event.address);
  if (found == records_.end()) return;
  auto& record = found->second;
  switch (event.name) {
    case conn_grpc::event::channel_connected:
      ++record.connections;
      record.last_connect = steady_clock::now();
      break;
    case conn_grpc::event::channel_connection_failed:
      ++record.failed_attempts;
      break;
    case conn_grpc::event::channel_disconnected:
      record.last_disconnect = steady_clock::now();
      record.last_loss = event.error;
      break;
    default:
      break;
  }
}

}  // namespace demo
