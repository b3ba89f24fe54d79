// SPDX-License-Identifier: BSL-1.0
// What turns an example into a test.
#pragma once

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <conn_grpc/telemetry.hpp>

#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace examples {

namespace asio = boost::asio;

inline void require(bool holds, std::source_location where = std::source_location::current()) {
  if (!holds) throw std::logic_error(std::string(where.file_name()) + ":" + std::to_string(where.line()));
}

/// For co_spawn: what the coroutine throws comes out of io_context::run().
inline void rethrow(std::exception_ptr thrown) {
  if (thrown) std::rethrow_exception(std::move(thrown));
}

/// An example that hangs is one that failed.
inline void end_within_a_minute() { ::alarm(60); }

/// Lets one coroutine wait for what connections bring about. All on one single-threaded io_context.
class connection_news {
 public:
  explicit connection_news(asio::io_context& io,
                           std::shared_ptr<conn_grpc::telemetry> source = conn_grpc::telemetry::global())
      : timer_(io, asio::steady_timer::time_point::max()), source_(std::move(source)) {
    using conn_grpc::event;
    source_->attach_many(
        "connection_news",
        std::array{event::channel_connected, event::channel_connection_failed, event::channel_disconnected},
        [this](const conn_grpc::telemetry_event&) { timer_.cancel(); });
  }
  ~connection_news() { source_->detach("connection_news"); }
  connection_news(const connection_news&) = delete;
  connection_news& operator=(const connection_news&) = delete;

  asio::awaitable<void> until(std::function<bool()> reached) {
    while (!reached()) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

 private:
  asio::steady_timer timer_;
  std::shared_ptr<conn_grpc::telemetry> source_;
};

}  // namespace examples
