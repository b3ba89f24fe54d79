// SPDX-License-Identifier: BSL-1.0
#include "runtime/channel_probe.hpp"

#include "runtime/log_line.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace conn_grpc::runtime {
namespace {

std::string in_ms(channel_probe::duration d) {
  const double ms = std::chrono::duration<double, std::milli>(d).count();
  return fmt::format("{:.{}f} ms", ms, ms < 10 ? 1 : 0);
}

std::string_view or_dash(const std::string& text) { return text.empty() ? std::string_view("-") : text; }

}  // namespace

channel_probe::channel_probe(const channel_settings& settings, std::string name)
    : settings_(settings),
      name_(std::move(name)),
      label_(fmt::format("conn_grpc pool={} channel={} address={}", or_dash(settings.pool_name), or_dash(name_),
                         settings.address)) {
  status_.name = name_;
  status_.address = settings_.address;
}

void channel_probe::connect_failed(duration took, std::string_view reason) {
  happened_ = fmt::format("attempt {} failed after {}: {}", status_.attempts, in_ms(took), reason);
  set_last_error(reason);
  tell(event::channel_connection_failed, took, reason);
}

void channel_probe::connection_lost(duration up, std::string_view reason) {
  happened_ = fmt::format("connection lost after {}: {}", in_ms(up), reason);
  set_last_error(happened_);
  leave_connected(channel_state::backing_off);
}

void channel_probe::connection_released(duration up) {
  happened_ = fmt::format("released after {}", in_ms(up));
  leave_connected(channel_state::stopped);
}

void channel_probe::disconnected(duration up, std::string_view reason) {
  tell(event::channel_disconnected, up, reason);
}

// Code that reads the status before the next transition, such as on_disconnect, must not find it connected.
void channel_probe::leave_connected(channel_state to) {
  const std::lock_guard lock(mutex_);
  status_.state = to;
  status_.connected_since.reset();
}

void channel_probe::user_code_failed(std::string_view what, std::string_view consequence) {
  happened_ = fmt::format("{}; {}", what, consequence);
  set_last_error(happened_);
  log_line(settings_.logger.get(), spdlog::level::err, fmt::format("{}: {}", label_, happened_));
}

void channel_probe::connecting() {
  enter({.to = channel_state::connecting}, [&] { return fmt::format("attempt {}", status_.attempts); });
}

void channel_probe::connected(time_point now, duration took) {
  enter({.to = channel_state::connected, .connected_since = now},
        [&] { return fmt::format("attempt {} took {}", status_.attempts, in_ms(took)); });
  tell(event::channel_connected, took);
}

void channel_probe::backing_off(time_point until, std::chrono::milliseconds delay) {
  enter({.to = channel_state::backing_off, .next_attempt = until},
        [&] { return fmt::format("next attempt in {} ms", delay.count()); });
}

void channel_probe::stopped() {
  if (told_ != channel_state::stopped) enter({.to = channel_state::stopped}, [] { return std::string(); });
}

channel_status channel_probe::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool channel_probe::logs_transitions() const {
  const auto* log = settings_.logger.get();
  return settings_.debug && log && (log->should_log(spdlog::level::debug) || log->should_backtrace());
}

/// @param detail makes the rest of the log line; called only when the line is written.
template <class Detail>
void channel_probe::enter(const transition& made, Detail detail) {
  const channel_state from = std::exchange(told_, made.to);
  {
    const std::lock_guard lock(mutex_);
    status_.state = made.to;
    status_.attempts += made.to == channel_state::connecting ? 1 : 0;
    status_.connected_since = made.connected_since;
    status_.next_attempt = made.next_attempt;
  }
  std::string why = std::exchange(happened_, {});
  if (!logs_transitions()) return;
  const std::string more = detail();
  if (!why.empty() && !more.empty()) why += "; ";
  why += more;
  log_line(settings_.logger.get(), spdlog::level::debug,
           fmt::format("{}: {} -> {}{}{}", label_, to_string(from), to_string(made.to), why.empty() ? "" : ", ", why));
}

void channel_probe::tell(event name, duration d, std::string_view error) const noexcept {
  settings_.telemetry->emit({.name = name,
                             .duration = d,
                             .error = error,
                             .channel_name = name_,
                             .pool_name = settings_.pool_name,
                             .address = settings_.address},
                            settings_.logger.get());
}

void channel_probe::set_last_error(std::string_view text) {
  const std::lock_guard lock(mutex_);
  status_.last_error = text;
}

}  // namespace conn_grpc::runtime
