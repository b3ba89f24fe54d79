// SPDX-License-Identifier: BSL-1.0
#include "backend.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace demo {

using conn_grpc::test::server_process;
using std::chrono::steady_clock;

std::string_view to_string(process_state state) {
  switch (state) {
    case process_state::down:
      return "down";
    case process_state::starting:
      return "starting";
    case process_state::running:
      return "running";
    case process_state::stopping:
      return "stopping";
    case process_state::frozen:
      return "frozen";
  }
  return "";
}

backend::backend(std::string name, std::string executable)
    : name_(std::move(name)), executable_(std::move(executable)) {}

asio::awaitable<backend::time_point> backend::start() {
  const auto work = [this] {
    process_ = std::make_unique<server_process>(executable_, address());
    return steady_clock::now();
  };
  return change(process_state::starting, work, process_state::running);
}

asio::awaitable<backend::time_point> backend::shut_down() {
  return signal(process_state::stopping, [this] { process_->terminate(); }, process_state::down);
}

asio::awaitable<backend::time_point> backend::kill() {
  return signal(process_state::down, [this] { process_->kill(); }, process_state::down);
}

asio::awaitable<backend::time_point> backend::freeze() {
  return signal(process_state::frozen, [this] { process_->freeze(); }, process_state::frozen);
}

asio::awaitable<backend::time_point> backend::thaw() {
  return signal(process_state::frozen, [this] { process_->thaw(); }, process_state::running);
}

asio::awaitable<backend::time_point> backend::signal(process_state meanwhile, std::function<void()> work,
                                                     process_state then) {
  const auto timed = [work = std::move(work)] {
    const auto begin = steady_clock::now();
    work();
    return begin;
  };
  return change(meanwhile, timed, then);
}

/// The states are for the thread that awaits this, the work is for the other one.
asio::awaitable<backend::time_point> backend::change(process_state meanwhile, std::function<time_point()> work,
                                                     process_state then) {
  auto run = [](std::function<time_point()> f) -> asio::awaitable<time_point> { co_return f(); };
  state_ = meanwhile;
  auto running = run(std::move(work));
  const auto when = co_await asio::co_spawn(thread_, std::move(running), asio::use_awaitable);
  state_ = then;
  co_return when;
}

}  // namespace demo
