// SPDX-License-Identifier: BSL-1.0
#include "runtime/channel_listeners.hpp"

#include "runtime/log_line.hpp"

#include <spdlog/spdlog.h>

#include <string_view>
#include <utility>

namespace conn_grpc::runtime {

using step = channel_transition::step;

void channel_listeners::notify(channel_transition made) {
  if (made.what == step::stopped && std::exchange(stopped_, true)) return;
  if (made.what == step::connecting) {
    ++attempts_;
    stopped_ = false;
  }
  made.attempt = attempts_;
  status_.on(made);
  log_.on(made);
  telemetry_.on(made);
}

status_listener::status_listener(const channel_identity& channel) {
  status_.name = channel.name;
  status_.address = channel.address;
}

void status_listener::on(const channel_transition& made) {
  switch (made.what) {
    case step::connecting:
    case step::still_connecting:
      return enter(channel_state::connecting, made);
    case step::connect_failed:
      return set_last_error(std::string(made.reason));
    case step::connected:
      return enter(channel_state::connected, made);
    case step::unhealthy:
      set_last_error(describe(made));
      return set_state(channel_state::unhealthy);
    case step::healthy:
      return set_state(channel_state::connected);
    case step::lost:  // a reader of the status must not find it connected until the next transition
      set_last_error(describe(made));
      return enter(channel_state::backing_off, made);
    case step::released:
      return enter(channel_state::stopped, made);
    case step::backing_off:
      return enter(channel_state::backing_off, made);
    case step::user_code_failed:
      return set_last_error(describe(made));
    case step::stopped:
      return enter(channel_state::stopped, made);
    case step::replaced:
    case step::disconnected:
      return;
  }
}

void status_listener::enter(channel_state to, const channel_transition& made) {
  const std::lock_guard lock(mutex_);
  status_.attempts = made.attempt;
  status_.next_attempt.reset();
  if (made.is_serving && made.what != step::connected) {
    if (made.what == step::backing_off) status_.next_attempt = made.at;
    return;
  }
  status_.state = to;
  status_.connected_since.reset();
  if (made.what == step::connected) status_.connected_since = made.at;
  if (made.what == step::backing_off) status_.next_attempt = made.at;
}

void status_listener::set_state(channel_state to) {
  const std::lock_guard lock(mutex_);
  status_.state = to;
}

void status_listener::set_last_error(std::string text) {
  const std::lock_guard lock(mutex_);
  status_.last_error = std::move(text);
}

channel_status status_listener::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

namespace {

std::string_view or_dash(std::string_view text) { return text.empty() ? "-" : text; }

}  // namespace

log_listener::log_listener(const checked_pool_options& options, const channel_identity& channel)
    : options_(options),
      label_(fmt::format("conn_grpc pool={} channel={} address={}", or_dash(options.pool_name()), or_dash(channel.name),
                         channel.address)) {}

void log_listener::on(const channel_transition& made) {
  switch (made.what) {
    case step::connecting:
    case step::still_connecting:
      return enter(channel_state::connecting, made);
    case step::connected:
      return enter(channel_state::connected, made);
    case step::unhealthy:
      return enter(channel_state::unhealthy, made);
    case step::healthy:
      return enter(channel_state::connected, made);
    case step::backing_off:
      return enter(channel_state::backing_off, made);
    case step::stopped:
      return enter(channel_state::stopped, made);
    case step::user_code_failed:
      cause_ = describe(made);
      return log_line(options_.logger.get(), spdlog::level::err, fmt::format("{}: {}", label_, cause_));
    case step::connect_failed:
    case step::lost:
    case step::replaced:
    case step::released:
      cause_ = describe(made);
      return;
    case step::disconnected:
      return;
  }
}

void log_listener::enter(channel_state to, const channel_transition& made) {
  const channel_state from = state_;
  if (!made.is_serving) state_ = to;
  std::string why = std::exchange(cause_, {});
  if (!logs_transitions()) return;
  const std::string more = describe(made);
  if (!why.empty() && !more.empty()) why += "; ";
  why += more;
  log_line(options_.logger.get(), spdlog::level::debug,
           fmt::format("{}: {} -> {}{}{}", label_, to_string(from), to_string(state_), why.empty() ? "" : ", ", why));
}

bool log_listener::logs_transitions() const {
  const auto* log = options_.logger.get();
  return options_.debug && log != nullptr && (log->should_log(spdlog::level::debug) || log->should_backtrace());
}

void telemetry_listener::on(const channel_transition& made) const noexcept {
  if (made.what == step::connect_failed) emit(event::channel_connection_failed, made);
  if (made.what == step::connected) emit(event::channel_connected, made);
  if (made.what == step::disconnected) emit(event::channel_disconnected, made);
}

void telemetry_listener::emit(event name, const channel_transition& made) const noexcept {
  options_.telemetry->emit({.name = name,
                            .duration = made.took,
                            .error = made.reason,
                            .channel_name = channel_.name,
                            .pool_name = options_.pool_name(),
                            .address = channel_.address},
                           options_.logger.get());
}

}  // namespace conn_grpc::runtime
