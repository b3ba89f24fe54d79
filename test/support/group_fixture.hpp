// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/channel_group.hpp"
#include "support/manual_clock.hpp"
#include "support/stepped_connector.hpp"

namespace conn_grpc::test {

using namespace std::chrono_literals;

/// Writes down what it is asked, in `trace`, and answers what the test says, or 100 ms.
class scripted_backoff final : public backoff {
 public:
  scripted_backoff(std::vector<std::string>& trace, std::deque<std::chrono::milliseconds>& delays)
      : trace_(trace), delays_(delays) {}
  std::chrono::milliseconds next() override {
    trace_.emplace_back("next");
    if (delays_.empty()) return 100ms;
    const auto delay = delays_.front();
    delays_.pop_front();
    return delay;
  }
  void reset() override { trace_.emplace_back("reset"); }

 private:
  std::vector<std::string>& trace_;
  std::deque<std::chrono::milliseconds>& delays_;
};

/// A group of actors on virtual time, with a connector that is stepped by hand: no thread, no socket, no sleep.
class group_fixture {
 public:
  using group_type = runtime::channel_group<manual_clock, stepped_connector>;

  /// @param context an idle one that others have used before, since making one takes longer than most tests.
  explicit group_fixture(std::size_t size = 1,
                         std::shared_ptr<boost::asio::io_context> context = std::make_shared<boost::asio::io_context>())
      : io(std::move(context)) {
    manual_clock::reset();
    logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
    logger->set_level(spdlog::level::debug);
    logger->set_pattern("%v");
    settings.make_backoff = [this](backoff_range range) {
      trace.push_back("make_backoff " + std::to_string(range.min.count()) + ".." + std::to_string(range.max.count()));
      return std::make_unique<scripted_backoff>(trace, delays);
    };
    settings.on_connect = [this] { trace.emplace_back("on_connect"); };
    settings.on_disconnect = [this] { trace.emplace_back("on_disconnect"); };
    settings.logger = logger;
    size_ = size;
  }

  /// After the test changed `settings`.
  void make_group(std::optional<boost::asio::any_io_executor> executor = {}) {
    settings.telemetry = whole.telemetry;
    whole.logger = settings.logger;
    group = std::make_shared<group_type>(executor.value_or(io->get_executor()), whole, mock);
    const auto shared = std::make_shared<const runtime::channel_settings>(settings);
    const auto shared_connector = std::make_shared<const stepped_connector>(connector);
    for (std::size_t slot = 0; slot < size_; ++slot)
      group->add(shared, "pool/" + std::to_string(slot), shared_connector);
  }

  void run() {
    if (!group) make_group();
    group->async_run([this](error_code ec) { ended = ec; });
    drain();
  }

  void drain() {
    io->restart();
    io->poll();
  }

  void advance(std::chrono::nanoseconds d) {
    manual_clock::advance(d);
    drain();
  }

  [[nodiscard]] channel_status status(std::size_t slot = 0) const { return group->status().channels.at(slot); }
  [[nodiscard]] std::string lines() const { return log.str(); }

  /// What happened since it was last asked.
  std::vector<std::string> happened() { return std::exchange(trace, {}); }

  std::shared_ptr<boost::asio::io_context> io;
  stepped_connector connector;
  runtime::channel_settings settings{.pool_name = "pool",
                                     .address = "host:1",
                                     .backoff = {1'000ms, 30'000ms},
                                     .make_backoff = {},
                                     .attempt_limit = 5'000ms,
                                     .stable_after = 1'000ms,
                                     .on_connect = {},
                                     .on_disconnect = {},
                                     .telemetry = {},
                                     .logger = {}};
  runtime::group_settings whole{.name = "pool",
                                .type_key = {},
                                .address = "host:1",
                                .label = "pool pool",
                                .status_interval = 5'000ms,
                                .max_restarts = 3,
                                .restart_window = 5'000ms,
                                .telemetry = std::make_shared<telemetry>(),
                                .logger = {}};
  std::function<stepped_connector::channel_type()> mock;
  std::shared_ptr<group_type> group;
  std::vector<std::string> trace;
  std::deque<std::chrono::milliseconds> delays;
  std::optional<error_code> ended;
  std::ostringstream log;
  std::shared_ptr<spdlog::logger> logger;

 private:
  std::size_t size_;
};

}  // namespace conn_grpc::test
