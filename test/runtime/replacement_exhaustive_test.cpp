// SPDX-License-Identifier: BSL-1.0
// All sequences of five events in the life of a connected channel: replacements, losses,
// stop and drain, with and without turns of the strand in between.

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/pool_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::runtime::connection_state;

namespace {

using action = bool (*)(struct one_channel&);  // false when it cannot happen now

struct step {
  std::string_view name;
  action happens;
};

struct one_channel : pool_fixture {
  explicit one_channel(std::shared_ptr<boost::asio::io_context> context) : pool_fixture(1, std::move(context)) {
    options.make_backoff = [this](auto) { return std::make_unique<scripted_backoff>(trace, delays); };
    options.on_connect = [this] { ++up; };
    options.on_disconnect = [this] { --up; };
    options.logger.reset();
    run();
    connector.last().succeed();
    drain();
  }

  /// The last attempt in this state that the actor still has; null when there is none.
  [[nodiscard]] stepped_attempt* last_in(connection_state state) const {
    for (auto i = connector.attempts(); i-- > 0;)
      if (auto& at = connector.attempt(i); at.state == state && !at.given_up) return &at;
    return nullptr;
  }

  [[nodiscard]] std::size_t alive(connection_state state) const {
    std::size_t n = 0;
    for (std::size_t i = 0; i < connector.attempts(); ++i)
      n += connector.attempt(i).state == state && !connector.attempt(i).given_up ? 1 : 0;
    return n;
  }

  /// True when gets may return the channel: a connection that is not lost, or whose loss
  /// is announced only.
  [[nodiscard]] bool is_usable(const conn_grpc::runtime::channel_ptr& channel) const {
    for (std::size_t i = 0; i < connector.attempts(); ++i) {
      const auto& at = connector.attempt(i);
      if (at.channel != channel || at.given_up) continue;
      if (at.state == connection_state::connected) return true;
      if (at.state == connection_state::lost && at.loss.reconnects) return true;
    }
    return false;
  }

  int up = 0;  // calls of on_connect, less those of on_disconnect
};

void check(const one_channel& f) {
  CHECK(f.alive(connection_state::connecting) <= 1);
  CHECK(f.alive(connection_state::connected) <= 1);
  CHECK((f.up == 0 || f.up == 1));
  if (const auto got = f.next()) CHECK(f.is_usable(*got));
}

constexpr std::array steps{
    step{"turn",
         [](one_channel& f) {
           f.drain();
           check(f);
           return true;
         }},
    step{"succeed",
         [](one_channel& f) {
           auto* const begun = f.last_in(connection_state::connecting);
           if (begun) begun->succeed();
           return begun != nullptr;
         }},
    step{"fail",
         [](one_channel& f) {
           auto* const begun = f.last_in(connection_state::connecting);
           if (begun) begun->fail("refused");
           return begun != nullptr;
         }},
    step{"lose",
         [](one_channel& f) {
           auto* const connected = f.last_in(connection_state::connected);
           if (connected) connected->lose();
           return connected != nullptr;
         }},
    step{"announce",
         [](one_channel& f) {
           auto* const connected = f.last_in(connection_state::connected);
           if (connected) connected->announce_end();
           return connected != nullptr;
         }},
    step{"crash after the announcement",
         [](one_channel& f) {
           auto* const lost = f.last_in(connection_state::lost);
           if (lost) lost->lose({.reason = "reset", .kind = conn_grpc::runtime::loss_kind::broken});
           return lost != nullptr;
         }},
    step{"refresh",
         [](one_channel& f) {
           f.pool->refresh();
           return true;
         }},
    step{"suspect",
         [](one_channel& f) {
           const auto suspected = f.next();
           if (suspected) f.pool->suspect(*suspected, "no answer");
           return suspected.has_value();
         }},
    step{"wait",
         [](one_channel& f) {
           f.advance(600ms);
           return true;
         }},
    step{"drain",
         [](one_channel& f) {
           f.connector.calls = 1;
           f.pool->async_drain([](conn_grpc::error_code) {}, 300ms);
           return true;
         }},
    step{"stop",
         [](one_channel& f) {
           f.pool->stop();
           return true;
         }},
};

/// @return how many of the steps were made: fewer when one could not happen.
std::size_t play(const std::vector<std::size_t>& script, const std::shared_ptr<boost::asio::io_context>& context) {
  one_channel f(context);
  std::size_t made = 0;
  while (made < script.size() && steps.at(script[made]).happens(f)) ++made;
  f.drain();

  check(f);
  f.pool->stop();
  f.advance(400ms);
  CHECK(f.ended.has_value());
  CHECK(f.up == 0);
  for (std::size_t i = 0; i < f.connector.attempts(); ++i) CHECK(f.connector.attempt(i).given_up);
  f.pool.reset();
  f.drain();
  return made;
}

}  // namespace

TEST_CASE("whatever happens to a channel, gets return what is usable, and nothing is left at the end", "[exhaustive]") {
  constexpr std::size_t length = 5;
  const auto context = std::make_shared<boost::asio::io_context>();
  std::vector<std::size_t> script(length, 0);
  std::size_t played = 0;
  for (;;) {
    std::string names;
    for (const auto s : script) names += std::string(steps.at(s).name) + ", ";
    CAPTURE(names);
    const auto made = play(script, context);
    ++played;
    // The next script, which differs in a step that was reached.
    auto at = std::min(made, length - 1);
    std::fill(script.begin() + static_cast<std::ptrdiff_t>(at) + 1, script.end(), 0);
    while (++script.at(at) == steps.size()) {
      script[at] = 0;
      if (at == 0) {
        CHECK(played > 10'000);
        return;
      }
      --at;
    }
  }
}
