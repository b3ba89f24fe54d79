// SPDX-License-Identifier: BSL-1.0
// The waiting queue in every order of events. Up to three waiters and two channels that
// connect and are lost meet cancellations, timeouts and stop. After each event the strand
// either runs all its handlers, or one handler only. These are all sequences of four
// events, with none to three waiters at the start, about 69,000.
#include <array>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/waiting_fixture.hpp"

using namespace conn_grpc::test;
using conn_grpc::runtime::connection_state;

namespace {

enum class happening {
  join,
  connect_first,
  connect_second,
  lose_first,
  lose_second,
  cancel_first,
  cancel_last,
  time_out,
  stop
};
constexpr std::array happenings{"join",         "connect_first", "connect_second", "lose_first", "lose_second",
                                "cancel_first", "cancel_last",   "time_out",       "stop"};
constexpr std::size_t most_waiters = 3;

class exhaustive_fixture : public waiting_fixture {
 public:
  exhaustive_fixture(std::shared_ptr<boost::asio::io_context> context, std::size_t waiters)
      : waiting_fixture(2, std::move(context)) {
    log.logger()->set_level(spdlog::level::off);
    options.make_backoff = [](conn_grpc::backoff_range) { return std::make_unique<none>(); };
    run();
    while (waiters_ < waiters) take(happening::join);
    drain();
  }

  /// False when the event is not possible now.
  bool take(happening what) {
    switch (what) {
      case happening::join:
        if (waiters_ == most_waiters) return false;
        join(waiters_ == 1 ? 20ms : 10ms);
        return true;
      case happening::connect_first:
      case happening::connect_second:
        return with_attempt(what == happening::connect_first ? 0 : 1, connection_state::connecting,
                            [](stepped_attempt& a) { a.succeed(); });
      case happening::lose_first:
      case happening::lose_second:
        return with_attempt(what == happening::lose_first ? 0 : 1, connection_state::connected,
                            [](stepped_attempt& a) { a.lose(); });
      case happening::cancel_first:
        return waiters_ > 0 && cancel(0);
      case happening::cancel_last:
        return waiters_ > 1 && cancel(waiters_ - 1);
      case happening::time_out:
        manual_clock::advance(10ms);
        return true;
      case happening::stop:
        if (stopped_) return false;
        stopped_ = true;
        pool->stop();
        return true;
    }
    return false;
  }

  void run_one_handler() {
    io->restart();
    io->poll_one();
    check_answers();
  }

  /// Runs all handlers. After that no waiter waits that must have been answered.
  void catch_up() {
    drain();
    check_answers();
    const bool none_need_wait = stopped_ || pool->status().current_size > 0;
    for (std::size_t i = 0; i < waiters_; ++i)
      if (!waiting_[i].answered &&
          (none_need_wait || waiting_[i].cancelled || manual_clock::now() >= waiting_[i].deadline))
        FAIL(i << " has not been answered");
  }

  /// All deadlines that are left come.
  void end() {
    catch_up();
    manual_clock::advance(20ms);
    catch_up();
    pool->stop();
    drain();
    check_answers();
  }

 private:
  struct none final : conn_grpc::backoff {
    std::chrono::milliseconds next() override { return 0ms; }
    void reset() override {}
  };

  // Acts on the nth attempt in this state, in the order in which they began.
  template <class Do>
  bool with_attempt(std::size_t nth, connection_state state, Do act) {
    for (std::size_t i = 0; i < connector.attempts(); ++i) {
      auto& attempt = connector.attempt(i);
      if (attempt.given_up || attempt.state != state || nth-- > 0) continue;
      act(attempt);
      return true;
    }
    return false;
  }

  struct waiter {
    boost::asio::cancellation_signal cancel;
    manual_clock::time_point deadline;
    bool cancelled = false;
    bool answered = false;
  };

  void join(std::chrono::milliseconds timeout) {
    auto& w = waiting_[waiters_];
    w.deadline = manual_clock::now() + timeout;
    wait(std::to_string(waiters_++), timeout, &w.cancel);
  }

  bool cancel(std::size_t index) {
    waiting_[index].cancelled = true;
    waiting_[index].cancel.emit(boost::asio::cancellation_type::total);
    return true;
  }

  /// Each waiter is answered once, channels are given in the order of arrival, and each
  /// error has its cause.
  void check_answers() {
    for (const auto& answer : answers()) {
      const auto index = static_cast<std::size_t>(answer.front() - '0');
      const std::string_view what = std::string_view(answer).substr(std::string_view("0: ").size());
      auto& w = waiting_[index];
      if (std::exchange(w.answered, true)) FAIL("answered twice: " << index);
      if (what.starts_with("attempt")) {
        if (index < last_served_) FAIL(index << " was served after " << last_served_);
        last_served_ = index;
        continue;
      }
      const bool caused = what == "no channel is connected" ? manual_clock::now() >= w.deadline
                          : what == "Operation canceled"    ? w.cancelled
                          : what == "stopped"               ? stopped_
                                                            : false;
      if (!caused) FAIL("for no reason, " << answer);
    }
  }

  std::array<waiter, most_waiters> waiting_;
  std::size_t waiters_ = 0;
  std::size_t last_served_ = 0;
  bool stopped_ = false;
};

/// An event, and whether the strand runs all its handlers before the next event: a digit
/// of a number with this base.
struct event {
  static constexpr std::size_t kinds = 2 * happenings.size();
  std::size_t digit;
  [[nodiscard]] happening what() const { return static_cast<happening>(digit / 2); }
  [[nodiscard]] bool catches_up() const { return digit % 2 == 0; }
};

std::string to_text(const std::vector<event>& events) {
  std::string text;
  for (const auto e : events) text += std::string(happenings[e.digit / 2]) + (e.catches_up() ? ", " : ", at once ");
  return text;
}

/// @return how many of the events took place: all, unless one of them was not possible.
std::size_t play(exhaustive_fixture& w, const std::vector<event>& events) {
  std::size_t taken = 0;
  while (taken < events.size() && w.take(events[taken].what())) {
    if (events[taken++].catches_up())
      w.catch_up();
    else
      w.run_one_handler();
  }
  w.end();
  return taken;
}

/// The next sequence that differs from this one in the event at `position` or before.
bool advance(std::vector<event>& events, std::size_t position) {
  for (std::size_t i = position + 1; i < events.size(); ++i) events[i].digit = 0;
  while (++events[position].digit == event::kinds) {
    events[position].digit = 0;
    if (position-- == 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("no order of events loses a wake-up", "[waiting]") {
  const auto context = std::make_shared<boost::asio::io_context>();
  std::size_t played = 0;
  for (std::size_t waiters = 0; waiters <= most_waiters; ++waiters) {
    std::vector<event> events(4, event{0});
    for (bool more = true; more;) {
      INFO(waiters << " wait; " << to_text(events));
      exhaustive_fixture w(context, waiters);
      const auto taken = play(w, events);
      if (taken == events.size()) ++played;
      more = advance(events, std::min(taken, events.size() - 1));
    }
  }
  CHECK(played > 60'000);
}
