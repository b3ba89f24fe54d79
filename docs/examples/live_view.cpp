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
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "call_history.hpp"
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
  std::string text;
};

/// A channel in 20 columns at most.
look look_of(const channel_status& channel) {
  const auto now = steady_clock::now();
  if (channel.state == channel_state::connected && channel.connected_since)
    return {style::green, "● connected " + seconds(now - *channel.connected_since)};
  if (channel.state == channel_state::backing_off && channel.next_attempt)
    return {style::red,
            "○ backing off " + seconds(std::max(*channel.next_attempt - now, steady_clock::duration::zero()))};
  if (channel.state == channel_state::connecting) return {style::yellow, "◐ connecting"};
  if (channel.state == channel_state::draining) return {style::yellow, "● draining"};
  return {style::dim, std::string(to_string(channel.state))};
}

style style_of(process_state state) {
  if (state == process_state::running) return style::plain;
  return state == process_state::frozen ? style::cyan : style::red;
}

/// What happened to the connections to a backend from one scene to the next, in a few words.
std::string changes(const std::vector<channel_status>& before, const scene::backend& backend) {
  const auto& now = backend.channels;
  int replaced = 0;
  int made = 0;
  int lost = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto since = now[i].connected_since;
    const auto was = i < before.size() ? before[i].connected_since : std::nullopt;
    if (since == was) continue;
    ++(since && was ? replaced : since ? made : lost);
  }
  std::string text;
  if (lost > 0) text += fmt::format(", {} withdrawn: {}", lost, reason(backend.last_loss));
  if (made > 0) text += fmt::format(", {} connected", made);
  if (replaced > 0) text += fmt::format(", {} replaced", replaced);
  return text.empty() ? text : text.substr(2);
}

class live final : public view {
 public:
  // The alternate screen, no cursor, no line wrap.
  live() { write("\x1b[?1049h\x1b[?25l\x1b[?7l"); }

  ~live() override {
    std::erase_if(happenings_, [](const memory& m) { return m.is_detail; });
    canvas to(size().ws_col, happenings_.size() + 1, coloured_);
    draw_happenings(to);
    write("\x1b[?7h\x1b[?25h\x1b[?1049l" + to.text() + "\n");
  }

  void show(const scene& moment) override {
    history_.add(moment);
    notice_changes(moment);
    write("\x1b[H" + draw(moment) + "\x1b[J");
  }

  void turn_to(const scene& moment) override {
    notice_changes(moment);
    remember(moment.title, false);
  }

 private:
  struct memory {
    steady_clock::duration when;
    std::string what;
    bool is_detail;
  };

  void remember(std::string what, bool is_detail) {
    happenings_.push_back({steady_clock::now() - begin_, std::move(what), is_detail});
  }

  void notice_changes(const scene& moment) {
    seen_.resize(moment.backends.size());
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      const auto& backend = moment.backends[i];
      if (const std::string text = changes(seen_[i], backend); !text.empty())
        remember(backend.name + ": " + text, true);
      seen_[i] = backend.channels;
    }
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
    to.put(" BACKEND", style::dim).at(22).put("PROCESS", style::dim).at(32).put("CHANNELS", style::dim);
    to.at(74).put("SHARE", style::dim).at(81).put("RPCS OK", style::dim).at(90).put("FAILED", style::dim).end_line();
    for (std::size_t i = 0; i < moment.backends.size(); ++i) draw_backend(to, moment.backends[i], i);
    to.end_line();
    draw_totals(to, moment);
    to.end_line();
    draw_happenings(to);
    return to.text();
  }

  /// The last ones that fit.
  void draw_happenings(canvas& to) const {
    const std::size_t fitting = std::min(happenings_.size(), to.rows_left());
    for (std::size_t i = happenings_.size() - fitting; i < happenings_.size(); ++i) {
      const auto& [when, what, is_detail] = happenings_[i];
      to.put(fmt::format("{:>7}", seconds(when)), style::dim).at(10);
      to.put(what, is_detail ? style::dim : style::plain).end_line();
    }
  }

  /// Two lines: what it is doing, and the RPCs that it answered over time.
  void draw_backend(canvas& to, const scene::backend& one, std::size_t index) const {
    to.put(" " + one.name, style::bold).at(3).put(one.address);
    to.at(22).put(to_string(one.process), style_of(one.process));
    for (std::size_t i = 0; i < one.channels.size(); ++i) {
      const auto [colour, text] = look_of(one.channels[i]);
      to.at(32 + 21 * i).put(text, colour);
    }
    to.at(74).put(fmt::format("{:>3} %", history_.share(index))).at(81).put(fmt::format("{:>7}", one.rpcs.ok));
    to.at(90).put(fmt::format("{:>6}", one.rpcs.failures()), one.rpcs.failures() == 0 ? style::dim : style::red);
    to.end_line();
    to.at(3);
    draw_history(to, index, to.columns() - std::min<std::size_t>(to.columns(), 5));
    to.end_line();
  }

  /// Five columns for each second; red while RPCs fail.
  void draw_history(canvas& to, std::size_t backend, std::size_t columns) const {
    static constexpr std::array<std::string_view, 8> bars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const auto& steps = history_.of(backend);
    const auto most = history_.most();
    for (std::size_t i = steps.size() - std::min(columns, steps.size()); i < steps.size(); ++i)
      to.put(bars[(steps[i].ok * (bars.size() - 1) + most / 2) / most],
             steps[i].failed == 0 ? style::green : style::red);
  }

  void draw_totals(canvas& to, const scene& moment) const {
    const auto [up, all] = std::pair(moment.connected, moment.expected);
    to.put(" connections").at(15);
    to.put(fmt::format("{}/{}", up, all), up == all ? style::green : up == 0 ? style::red : style::yellow);
    to.put(fmt::format(", {} made so far", moment.connections)).end_line();
    to.put(" RPCs").at(15).put(moment.rpcs.text(), moment.rpcs.failures() == 0 ? style::green : style::plain);
    to.put(fmt::format("; {} ok/s", history_.ok_per_second())).end_line();
  }

  static void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  const bool coloured_ = environment("NO_COLOR").empty();
  const steady_clock::time_point begin_ = steady_clock::now();
  std::vector<std::vector<channel_status>> seen_;  // of each backend, when it was looked at last
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
