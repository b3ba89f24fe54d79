// SPDX-License-Identifier: BSL-1.0
#include <spdlog/fmt/fmt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>

#include "canvas.hpp"
#include "view.hpp"

namespace demo {
namespace {

using conn_grpc::channel_state;
using conn_grpc::channel_status;
using std::chrono::steady_clock;

/// gRPC tells what it was doing, from the outside in: the last part is the reason.
std::string_view reason(std::string_view error) {
  const auto colon = error.rfind(": ");
  return colon == error.npos ? error : error.substr(colon + 2);
}

std::string seconds(steady_clock::duration d) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(d).count());
}

std::string_view environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::string_view() : value;
}

struct look {
  style colour;
  std::string_view text;
};

look look_of(channel_state state) {
  switch (state) {
    case channel_state::connected:
      return {style::green, "● connected"};
    case channel_state::draining:
      return {style::yellow, "● draining"};

    case channel_state::connecting:
      return {style::yellow, "◐ connecting"};
    case channel_state::unhealthy:
      return {style::red, "◌ unhealthy"};
    case channel_state::backing_off:
      return {style::red, "○ backing off"};
    case channel_state::not_started:
    case channel_state::stopped:
      break;
  }
  return {style::dim, to_string(state)};
}

/// What happened to the connections from one scene to the next, in a few words.
std::string changes(const conn_grpc::pool_status& before, const conn_grpc::pool_status& now) {
  int made = 0;
  int lost = 0;
  for (std::size_t i = 0; i < now.channels.size(); ++i) {
    const auto since = now.channels[i].connected_since;
    const auto was = i < before.channels.size() ? before.channels[i].connected_since : std::nullopt;
    if (since == was) continue;
    made += since ? 1 : 0;
    lost += was ? 1 : 0;
  }
  if (made + lost == 0) return {};
  std::string text;
  if (lost > 0) text += fmt::format("{} lost, ", lost);
  if (made > 0) text += fmt::format("{} connected, ", made);
  return text + fmt::format("{}/{} up", now.current_size, now.expected_size);
}

/// The calls of the last seconds, five columns for each: all of the demo fits on 80.
class call_history {
 public:
  /// Ten times a second.
  void add(const call_counts& total) {
    if (++added_ % 2 != 0) return;
    ticks_.push_back(
        {.ok = total.ok - last_.ok, .bad = total.failed + total.turned_away - last_.failed - last_.turned_away});
    if (ticks_.size() > longest) ticks_.pop_front();
    last_ = total;
  }

  [[nodiscard]] std::uint64_t ok_per_second() const {
    std::uint64_t sum = 0;
    for (std::size_t i = ticks_.size() - std::min<std::size_t>(ticks_.size(), 5); i < ticks_.size(); ++i)
      sum += ticks_[i].ok;
    return sum;
  }

  void draw(canvas& to, std::size_t columns) const {
    static constexpr std::array<std::string_view, 8> bars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const std::size_t shown = std::min(columns, ticks_.size());
    std::uint64_t most = 1;
    for (const tick& t : ticks_) most = std::max(most, t.ok);
    for (auto t = ticks_.end() - static_cast<std::ptrdiff_t>(shown); t != ticks_.end(); ++t)
      to.put(bars[(t->ok * (bars.size() - 1) + most / 2) / most], t->bad == 0 ? style::green : style::red);
  }

 private:
  struct tick {
    std::uint64_t ok;
    std::uint64_t bad;
  };
  static constexpr std::size_t longest = 200;

  int added_ = 0;
  call_counts last_;
  std::deque<tick> ticks_;
};

class live final : public view {
 public:
  // The alternate screen, no cursor, no line wrap.
  live() { write("\x1b[?1049h\x1b[?25l\x1b[?7l"); }

  ~live() override {
    canvas to(size().ws_col, happenings_.size() + 1, coloured_);
    draw_happenings(to);
    write("\x1b[?7h\x1b[?25h\x1b[?1049l" + to.text() + "\n");
  }

  void show(const scene& moment) override {
    history_.add(moment.calls);
    notice_changes(moment.pool);
    write("\x1b[H" + draw(moment) + "\x1b[J");
  }

  void turn_to(const scene& moment) override {
    notice_changes(moment.pool);
    remember(moment.title, style::plain);
  }

 private:
  struct memory {
    steady_clock::duration when;
    std::string what;
    style with;
  };

  void remember(const std::string& what, style with) {
    happenings_.push_back({steady_clock::now() - begin_, what, with});
  }

  void notice_changes(const conn_grpc::pool_status& pool) {
    if (const std::string text = changes(pool_, pool); !text.empty()) remember(text, style::dim);
    pool_ = pool;
  }

  static winsize size() {
    winsize size{};
    const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    return known ? size : winsize{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  }

  [[nodiscard]] std::string draw(const scene& moment) const {
    canvas to(size().ws_col, size().ws_row, coloured_);
    to.put(fmt::format("{:>7}", seconds(steady_clock::now() - begin_)), style::dim);
    to.at(10).put(moment.title, style::bold).end_line();
    to.end_line();
    to.put(" CHANNEL", style::dim).at(14).put("STATE", style::dim).at(30).put("     UP", style::dim);
    to.at(40).put("ATTEMPTS", style::dim).at(51).put("RETRY IN", style::dim).at(62).put("LAST ERROR", style::dim);
    to.end_line();
    for (const channel_status& channel : moment.pool.channels) draw_channel(to, channel);
    to.end_line();
    draw_calls(to, moment);
    to.end_line();
    draw_happenings(to);
    return to.text();
  }

  /// The last ones that fit.
  void draw_happenings(canvas& to) const {
    const std::size_t fitting = std::min(happenings_.size(), to.rows_left());
    for (std::size_t i = happenings_.size() - fitting; i < happenings_.size(); ++i) {
      to.put(fmt::format("{:>7}", seconds(happenings_[i].when)), style::dim).at(10);
      to.put(happenings_[i].what, happenings_[i].with).end_line();
    }
  }

  static void draw_channel(canvas& to, const channel_status& channel) {
    const auto now = steady_clock::now();
    const auto [colour, state] = look_of(channel.state);
    to.put(" " + channel.name).at(14).put(state, colour).at(30);
    if (channel.connected_since) to.put(fmt::format("{:>7}", seconds(now - *channel.connected_since)));
    to.at(40).put(fmt::format("{:>8}", channel.attempts)).at(51);
    if (channel.next_attempt) to.put(fmt::format("{:>8}", seconds(*channel.next_attempt - now)));
    to.at(62).put(reason(channel.last_error), channel.connected_since ? style::dim : style::plain).end_line();
  }

  void draw_calls(canvas& to, const scene& moment) const {
    const auto [up, all] = std::pair(moment.pool.current_size, moment.pool.expected_size);
    const auto bad = [](std::uint64_t count) { return count == 0 ? style::dim : style::red; };
    to.put(" connected").at(14);
    to.put(fmt::format("{}/{}", up, all), up == all ? style::green : up == 0 ? style::red : style::yellow).end_line();
    to.put(" calls").at(14).put(fmt::format("{} ok", moment.calls.ok), style::green).put("   ");
    to.put(fmt::format("{} failed", moment.calls.failed), bad(moment.calls.failed)).put("   ");
    to.put(fmt::format("{} turned away", moment.calls.turned_away), bad(moment.calls.turned_away));
    to.put(fmt::format("   {} ok/s", history_.ok_per_second())).end_line();
    to.put(" ok over time").at(14);
    history_.draw(to, to.columns() - std::min<std::size_t>(to.columns(), 16));
    to.end_line();
  }

  static void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  const bool coloured_ = environment("NO_COLOR").empty();
  const steady_clock::time_point begin_ = steady_clock::now();
  conn_grpc::pool_status pool_;  // when it was looked at last
  call_history history_;
  std::deque<memory> happenings_;
};

}  // namespace

bool on_terminal() {
  const auto kind = environment("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && !kind.empty() && kind != "dumb";
}

std::unique_ptr<view> live_view() { return std::make_unique<live>(); }

}  // namespace demo
