// SPDX-License-Identifier: BSL-1.0
#include "story.hpp"

#include <spdlog/fmt/fmt.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace demo {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

asio::awaitable<void> pass(steady_clock::duration time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

double ms(steady_clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

std::size_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

story::story(greeting_service& service, background_server& server, std::function<void()> turn_page)
    : service_(service), server_(server), turn_page_(std::move(turn_page)) {}

asio::awaitable<findings> story::run() {
  findings found;
  co_await begin();
  co_await pass(2s);
  co_await kill_server(found);
  co_await pass(3s);
  co_await start_server_again(found);
  co_await pass(2s);
  co_await replace_server(found);
  co_await pass(2s);
  found.threads = threads_of_this_process();
  co_return found;
}

asio::awaitable<void> story::begin() {
  next_chapter("starting the server, then the service");
  co_await server_.start();
  service_.connect();
  co_await wait_until("every connection is up", [this] { return all_connected(); });
  service_.make_calls();
  next_chapter(fmt::format("all is well: {} coroutines make calls through {} connections", greeting_service::callers,
                           greeting_service::connections));
}

asio::awaitable<void> story::kill_server(findings& found) {
  next_chapter("killing the server (SIGKILL)");
  const auto killed = co_await server_.kill();
  co_await wait_until("the loss is noticed", [this] { return service_.status().current_size == 0; });
  found.loss_noticed = service_.last_disconnect() - killed;
  next_chapter(fmt::format("outage, noticed after {:.1f} ms: callers are told at once, connections are retried",
                           ms(found.loss_noticed)));
}

asio::awaitable<void> story::start_server_again(findings& found) {
  next_chapter("starting the server again");
  const auto back = co_await server_.start();
  co_await wait_until("every connection is back", [this] { return all_connected(); });
  co_await wait_for_a_call();
  // A connection may be quicker than the news that the server listens.
  found.recovered = std::max(service_.last_connect() - back, steady_clock::duration::zero());
  next_chapter(fmt::format("all is well again, {:.0f} ms after the server came back", ms(found.recovered)));
}

asio::awaitable<void> story::replace_server(findings& found) {
  next_chapter("rolling restart: another server on the same port, then goodbye from the old one");
  const auto before = service_.calls();
  const auto goodbye = co_await server_.replace();
  co_await wait_until("every connection leads to the new server", [&] {
    return std::ranges::all_of(service_.status().channels,
                               [&](const auto& c) { return c.connected_since && *c.connected_since > goodbye; });
  });
  co_await wait_for_a_call();
  const auto& after = service_.calls();
  found.replaced = service_.last_connect() - goodbye;
  found.calls_replacing = {.failed = after.failed - before.failed,
                           .turned_away = after.turned_away - before.turned_away};
  next_chapter(fmt::format("server replaced, all connections renewed within {:.1f} ms", ms(found.replaced)));
}

void story::next_chapter(std::string title) {
  chapter_ = std::move(title);
  turn_page_();
}

/// Looks every 5 ms, which is often enough to go on; what is measured comes from the service's callbacks.
asio::awaitable<void> story::wait_until(const char* what, std::function<bool()> happened) const {
  const auto deadline = steady_clock::now() + 5s;
  while (!happened()) {
    if (steady_clock::now() > deadline) {
      const auto status = service_.status();
      throw std::runtime_error(fmt::format("waited 5 s until {}, in vain: {}/{} connected", what, status.current_size,
                                           status.expected_size));
    }
    co_await pass(5ms);
  }
}

asio::awaitable<void> story::wait_for_a_call() const {
  const auto before = service_.calls().ok;
  return wait_until("calls succeed", [this, before] { return service_.calls().ok > before; });
}

bool story::all_connected() const {
  const auto status = service_.status();
  return status.current_size == status.expected_size;
}

}  // namespace demo
