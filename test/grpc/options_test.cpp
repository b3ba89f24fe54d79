// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/pool.hpp>
#include <functional>
#include <string>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using conn_grpc::channel_options;
using conn_grpc::pool_options;

namespace {

std::string refusal(const std::function<void()>& make) {
  try {
    make();
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("bad options are refused by the name of the field", "[options]") {
  boost::asio::io_context io;
  const auto [change, field] = GENERATE(table<std::function<void(channel_options&)>, std::string>({
      {[](auto& o) { o.address.clear(); }, "address: must not be empty"},
      {[](auto& o) { o.backoff = {2ms, 1ms}; }, "backoff: min must not be above max"},
      {[](auto& o) { o.backoff.min = 0ms; }, "backoff.min: must be above zero"},
      {[](auto& o) { o.backoff.max = -1ms; }, "backoff.max: must be above zero"},
      {[](auto& o) { o.connect_timeout = 0ms; }, "connect_timeout: must be above zero"},
      {[](auto& o) { o.connect_timeout = -5ms; }, "connect_timeout: must be above zero, is -5 ms"},
      {[](auto& o) { o.stable_after = 0ms; }, "stable_after: must be above zero"},
      {[](auto& o) { o.stable_after = -1ms; }, "stable_after: must be above zero"},
  }));
  channel_options options{.address = "localhost:1"};
  change(options);
  CHECK(refusal([&] { conn_grpc::channel(io, options); }).starts_with(field));
  CHECK(refusal([&] { conn_grpc::pool(io, {.channel = options}); }).starts_with("channel." + field));
}

TEST_CASE("bad options of a pool are refused by name", "[options]") {
  boost::asio::io_context io;
  const channel_options good{.address = "localhost:1"};
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.channel = good, .status_interval = 0ms});
        }).starts_with("status_interval: must be above zero"));
  CHECK(refusal([&] {
          conn_grpc::pool(io, {.channel = good, .status_interval = -1ms});
        }).starts_with("status_interval: must be above zero"));
  CHECK(refusal([&] {
          conn_grpc::pool(boost::asio::any_io_executor(), {.channel = good});
        }).starts_with("executor: must not be empty"));
  CHECK(refusal([&] { conn_grpc::pool(io, {.pool_size = 0, .channel = good}); }) == "accepted");
}
