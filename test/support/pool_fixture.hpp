// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/pool_core.hpp"
#include "support/manual_clock.hpp"
#include "support/recorded_log.hpp"
#include "support/stepped_connector.hpp"

namespace conn_grpc::test {

using namespace std::chrono_literals;

/// Records its calls in `trace`, and answers with the next of `delays`, or 100 ms.
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

/// A pool on virtual time, with a connector that is stepped by hand: no thread, no
/// socket, no sleep.
class pool_fixture {
 public:
  using pool_type = runtime::pool_core<manual_clock>;

  /// @param context an idle one, which may have been used before: to make one takes
  /// longer than most tests.
  explicit pool_fixture(std::size_t size = 1,
                        std::shared_ptr<boost::asio::io_context> context = std::make_shared<boost::asio::io_context>())
      : io(std::move(context)) {
    manual_clock::reset();
    options.pool_size = size;
    options.make_backoff = [this](backoff_range range) {
      trace.push_back("make_backoff " + std::to_string(range.min.count()) + ".." + std::to_string(range.max.count()));
      return std::make_unique<scripted_backoff>(trace, delays);
    };
    options.on_connect = [this] { trace.emplace_back("on_connect"); };
    options.on_disconnect = [this] { trace.emplace_back("on_disconnect"); };
    options.logger = log.logger();
  }

  /// Call it after `options` were changed.
  void make_pool(std::optional<boost::asio::any_io_executor> executor = {}) {
    pool = std::make_shared<pool_type>(executor.value_or(io->get_executor()),
                                       std::make_shared<const runtime::checked_pool_options>(options), stepped, mock);
  }

  void run() {
    if (!pool) make_pool();
    pool->async_run([this](error_code ec) { ended = ec; });
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

  void refresh() {
    pool->refresh();
    drain();
  }

  [[nodiscard]] pool_type::result_type next() const { return pool->pick<runtime::if_none::fail>(); }
  [[nodiscard]] pool_type::result_type next_unless_waiting() const { return pool->pick<runtime::if_none::wait>(); }
  /// The text of the next channel, or of the exception.
  [[nodiscard]] std::string text_of_get() const {
    try {
      return object_of<std::string>(pool->pick_or_throw<runtime::if_none::fail>());
    } catch (const boost::system::system_error& e) {
      return e.what();
    }
  }
  /// The text of the next channel.
  [[nodiscard]] std::string next_text() const { return object_of<std::string>(next().value()); }

  [[nodiscard]] channel_status status(std::size_t slot = 0) const { return pool->status().channels.at(slot); }
  [[nodiscard]] const std::string& lines() const { return log.text(); }

  /// What has happened since the last call.
  std::vector<std::string> happened() { return std::exchange(trace, {}); }

  recorded_log log;
  std::shared_ptr<boost::asio::io_context> io;
  std::shared_ptr<stepped_connector> stepped = std::make_shared<stepped_connector>();
  stepped_connector& connector = *stepped;
  runtime::checked_pool_options options{.name = "pool",
                                        .type_key = {},
                                        .label = "pool pool",
                                        .address = "host:1",
                                        .status_interval = 5'000ms,
                                        .max_restarts = 3,
                                        .restart_window = 5'000ms,
                                        .backoff = {1'000ms, 30'000ms},
                                        .make_backoff = {},
                                        .attempt_limit = 5'000ms,
                                        .stable_after = 1'000ms,
                                        .on_connect = {},
                                        .on_disconnect = {},
                                        .telemetry = std::make_shared<telemetry>(),
                                        .logger = {}};
  std::function<runtime::channel_ptr()> mock;
  std::shared_ptr<pool_type> pool;
  std::vector<std::string> trace;
  std::deque<std::chrono::milliseconds> delays;
  std::optional<error_code> ended;
};

}  // namespace conn_grpc::test
