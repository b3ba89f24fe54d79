// SPDX-License-Identifier: BSL-1.0
// Exceptions of user code.
#include <algorithm>
#include <limits>
#include <map>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::channel_state;
using conn_grpc::errc;
using conn_grpc::error_code;

namespace {

struct throwing_backoff final : conn_grpc::backoff {
  explicit throwing_backoff(std::string where) : where_(std::move(where)) {}
  std::chrono::milliseconds next() override {
    if (where_ == "next") throw std::runtime_error("next threw");
    return 100ms;
  }
  void reset() override {
    if (where_ == "reset") throw std::runtime_error("reset threw");
  }

 private:
  std::string where_;
};

}  // namespace

TEST_CASE("user code that throws restarts its channel alone, at once", "[supervision]") {
  const std::string where =
      GENERATE("on_connect", "on_disconnect", "next", "reset", "make_backoff", "make_backoff null", "create_channel");
  CAPTURE(where);
  pool_fixture f(2);
  bool armed = true;
  const auto throw_once = [&] {
    if (std::exchange(armed, false)) throw std::runtime_error(where + " threw");
  };
  if (where == "on_connect") f.options.on_connect = throw_once;
  if (where == "on_disconnect") f.options.on_disconnect = throw_once;
  if (where == "create_channel") f.connector.throw_next();
  f.options.make_backoff = [&](conn_grpc::backoff_range) -> std::unique_ptr<conn_grpc::backoff> {
    if (where == "make_backoff") throw_once();
    if (where == "make_backoff null" && std::exchange(armed, false)) return nullptr;
    const bool throws = (where == "next" || where == "reset") && std::exchange(armed, false);
    return std::make_unique<throwing_backoff>(throws ? where : "");
  };
  f.run();

  // Where no code has thrown yet, the code of slot 0 throws.
  if (where == "next") f.connector.attempt(0).fail("no");
  if (where == "on_connect" || where == "reset" || where == "on_disconnect") f.connector.attempt(0).succeed();
  f.drain();
  if (where == "on_disconnect") f.connector.attempt(0).lose();
  f.drain();

  CHECK_FALSE(f.ended);
  const std::string error = f.status(0).last_error;
  const std::map<std::string, std::string> said{{"make_backoff null", "make_backoff threw: it returned null"},
                                                {"next", "backoff.next threw: next threw"},
                                                {"reset", "backoff.reset threw: reset threw"}};
  const auto what = said.contains(where) ? said.at(where) : where + " threw: " + where + " threw";
  CHECK(error == what + "; restart 1 of at most 3 in 5000 ms");
  CHECK(f.status(1).last_error.empty());
  CHECK(f.lines().find(error) != std::string::npos);  // an error is logged without debug
  CHECK(f.status(0).state == channel_state::connecting);
  CHECK(f.next().error() == errc::not_connected);
  for (std::size_t a = 0; a < f.connector.attempts(); ++a)
    if (!f.connector.attempt(a).given_up) f.connector.attempt(a).succeed();
  f.drain();
  CHECK(f.status(0).state == channel_state::connected);
  CHECK(f.status(1).state == channel_state::connected);
}

TEST_CASE("the fourth throw within five seconds ends async_run with restart_limit", "[supervision]") {
  pool_fixture f(2);
  f.options.on_connect = [] { throw 42; };
  f.run();
  f.connector.attempt(1).succeed();
  f.drain();
  f.advance(4'999ms);
  f.connector.attempt(0).succeed();
  f.drain();
  f.connector.last().succeed();
  f.drain();
  CHECK_FALSE(f.ended);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.ended == errc::restart_limit);
  CHECK(f.status(0).state == channel_state::stopped);
  CHECK(f.status(1).state == channel_state::stopped);
  CHECK(f.status(0).last_error == "on_connect threw: an exception that is not a std::exception; too often, stopping");
  CHECK(f.next().error() == errc::stopped);
  for (std::size_t a = 0; a < f.connector.attempts(); ++a) CHECK(f.connector.attempt(a).given_up);
  CHECK(f.io->stopped());
  f.ended.reset();
  f.run();
  CHECK(f.ended == errc::restart_limit);  // not errc::stopped, because the limit stopped it
}

TEST_CASE("no other channel connects when the limit is exceeded", "[supervision]") {
  pool_fixture f(2);
  f.options.max_restarts = 0;
  f.options.on_connect = [&] {
    f.trace.emplace_back("on_connect");
    throw std::runtime_error("no");
  };
  f.run();
  f.connector.attempt(0).succeed();
  f.connector.attempt(1).succeed();
  f.drain();
  CHECK(std::ranges::count(f.happened(), "on_connect") == 1);
  CHECK(f.ended == errc::restart_limit);
}

TEST_CASE("exceptions that are far apart never exceed the limit", "[supervision]") {
  pool_fixture f;
  f.options.on_connect = [] { throw std::runtime_error("again"); };
  f.run();
  for (int i = 0; i < 20; ++i) {
    f.connector.last().succeed();
    f.drain();
    f.advance(1'700ms);
  }
  CHECK_FALSE(f.ended);
  f.pool->stop();
  f.drain();
  CHECK(f.ended == error_code());
}

TEST_CASE("user code that throws each time cannot prevent a stop", "[supervision]") {
  pool_fixture f;
  f.options.max_restarts = std::numeric_limits<std::size_t>::max();
  int throws = 0;
  f.options.make_backoff = [&](conn_grpc::backoff_range) -> std::unique_ptr<conn_grpc::backoff> {
    if (++throws > 100'000) throw std::logic_error("stop had no turn");
    throw std::runtime_error("always");
  };
  f.make_pool();
  f.pool->async_run([&](error_code ec) { f.ended = ec; });
  for (int i = 0; i < 100; ++i) f.io->poll_one();
  f.pool->stop();
  f.drain();
  CHECK(f.ended == error_code());
  CHECK(throws < 1'000);
}

TEST_CASE("an exception may have no text", "[supervision]") {
  struct mute final : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return nullptr; }
  };
  pool_fixture f;
  f.options.on_connect = [] { throw mute(); };
  f.run();
  f.connector.last().succeed();
  f.drain();
  CHECK(f.status().last_error == "on_connect threw: an exception without a text; restart 1 of at most 3 in 5000 ms");
}

TEST_CASE("an exception while stopping neither restarts nor counts", "[supervision]") {
  pool_fixture f;
  f.options.on_disconnect = [] { throw std::runtime_error("late"); };
  f.run();
  f.connector.last().succeed();
  f.drain();
  f.pool->stop();
  f.drain();
  CHECK(f.ended == error_code());
  CHECK(f.connector.attempts() == 1);
  CHECK(f.status().state == channel_state::stopped);
  f.ended.reset();
  f.run();
  CHECK(f.ended == errc::stopped);  // not restart_limit, because a stop ended it
}

TEST_CASE("exceptions of a logger are ignored", "[supervision]") {
  struct broken_sink final : spdlog::sinks::sink {
    void log(const spdlog::details::log_msg&) override { throw 1; }
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
  };
  pool_fixture f;
  f.options.logger = std::make_shared<spdlog::logger>("broken", std::make_shared<broken_sink>());
  f.options.logger->set_level(spdlog::level::debug);
  f.options.debug = true;
  f.connector.throw_next();
  f.run();
  CHECK(f.connector.attempts() == 1);
  f.connector.last().succeed();
  f.drain();
  CHECK(f.status().state == channel_state::connected);
}
