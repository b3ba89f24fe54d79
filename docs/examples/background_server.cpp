// SPDX-License-Identifier: BSL-1.0
#include "background_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace demo {

using conn_grpc::test::server_process;
using std::chrono::steady_clock;

background_server::background_server(std::string executable, std::string address)
    : executable_(std::move(executable)), address_(std::move(address)) {}

asio::awaitable<background_server::time_point> background_server::start() {
  return in_background([this] {
    process_ = new_process();
    return steady_clock::now();
  });
}

asio::awaitable<background_server::time_point> background_server::kill() {
  return in_background([this] {
    const auto begin = steady_clock::now();
    process_->kill();
    return begin;
  });
}

asio::awaitable<background_server::time_point> background_server::replace() {
  return in_background([this] {
    const auto old = std::exchange(process_, new_process());
    const auto begin = steady_clock::now();
    old->shut_down();
    return begin;
  });
}

asio::awaitable<background_server::time_point> background_server::in_background(std::function<time_point()> work) {
  auto run = [](std::function<time_point()> f) -> asio::awaitable<time_point> { co_return f(); };
  co_return co_await asio::co_spawn(thread_, run(std::move(work)), asio::use_awaitable);
}

std::unique_ptr<server_process> background_server::new_process() const {
  return std::make_unique<server_process>(executable_, address_);
}

}  // namespace demo
