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

story::story(greeting_service& service, backends& servers, std::function<void()> turn_page)
    : service_(service), servers_(servers), turn_page_(std::move(turn_page)) {}

asio::awaitable<findings> story::run() {
  findings found;
  co_await begin();
  co_await pass(1s);
  co_await restart_one_after_the_other(found.restarts);
  co_await pass(800ms);
  co_await refresh(found.refresh);
  co_await pass(800ms);
  co_await freeze(servers_[1], found.frozen);
  co_await pass(800ms);
  co_await kill(servers_[2], found.killed);
  co_await pass(800ms);
  found.threads = threads_of_this_process();
  co_await drain(found.drain);
  co_await pass(300ms);
  co_return found;
}

/// Looks every 5 ms, which is often enough to go on; what is measured comes from the service's events.
template <class Happened>
asio::awaitable<void> story::wait_until(const std::string& what, const Happened& happened) const {
  const auto deadline = steady_clock::now() + 10s;
  while (!happened()) {
    if (steady_clock::now() > deadline) {
      const auto status = service_.status();
      throw std::runtime_error(fmt::format("waited 10 s until {}, in vain: {}/{} connected", what, status.current_size,
                                           status.expected_size));
    }
    co_await pass(5ms);
  }
}

asio::awaitable<void> story::begin() {
  next_chapter("three servers start, and one pool connects to all of them");
  for (backend& one : servers_) co_await one.start();
  service_.connect();
  for (const backend& one : servers_) co_await wait_until_connected(one);
  service_.make_calls();
  next_chapter(fmt::format("all is well: {} coroutines make RPCs, over {} connections to each backend",
                           greeting_service::callers, greeting_service::connections));
}

asio::awaitable<void> story::restart_one_after_the_other(findings::part& found) {
  const auto before = service_.rpcs();
  const auto begin = steady_clock::now();
  next_chapter("rolling restart: one after the other shuts down (SIGTERM) and is started again");
  for (backend& one : servers_) co_await restart(one);
  found.back = steady_clock::now() - begin;
  found.rpcs = service_.rpcs() - before;
  next_chapter(fmt::format("all three were restarted in {:.1f} s; RPCs: {}", ms(found.back) / 1000, found.rpcs.text()));
}

asio::awaitable<void> story::restart(backend& one) {
  co_await one.shut_down();
  co_await pass(200ms);
  co_await one.start();
  co_await wait_until_back(one);
  co_await pass(200ms);
}

asio::awaitable<void> story::refresh(findings::part& found) {
  next_chapter("refresh(): each connection is replaced, the new one connects first");
  const auto before = service_.rpcs();
  const auto begin = steady_clock::now();
  const auto is_new = [&](const auto& channel) { return channel.connected_since > begin; };
  const auto all_new = [&] { return std::ranges::all_of(service_.status().channels, is_new); };
  service_.refresh();
  const std::string what = "every connection is a new one";
  co_await wait_until(what, all_new);
  for (const backend& one : servers_) found.back = std::max(found.back, record_of(one).last_connect - begin);
  co_await pass(300ms);
  found.rpcs = service_.rpcs() - before;
  next_chapter(fmt::format("all connections were replaced in {:.0f} ms; RPCs: {}", ms(found.back), found.rpcs.text()));
}

asio::awaitable<void> story::freeze(backend& one, findings::part& found) {
  next_chapter(fmt::format("{} is frozen (SIGSTOP): its RPCs end at their deadlines, which is reported with suspect()",
                           one.name()));
  const auto before = service_.rpcs();
  const auto frozen = co_await one.freeze();
  co_await wait_until_left(one);
  found.left = record_of(one).last_disconnect - frozen;
  next_chapter(
      fmt::format("after {:.0f} ms the pool has left {}, and the others do its work", ms(found.left), one.name()));
  co_await pass(1s);
  next_chapter(fmt::format("{} continues (SIGCONT)", one.name()));
  const auto thawed = co_await one.thaw();
  co_await wait_until_back(one);
  found.back = since(thawed, one);
  found.rpcs = service_.rpcs() - before;
  next_chapter(fmt::format("{} was back after {:.0f} ms; RPCs: {}", one.name(), ms(found.back), found.rpcs.text()));
}

asio::awaitable<void> story::kill(backend& one, findings::part& found) {
  next_chapter(fmt::format("{} is killed (SIGKILL)", one.name()));
  const auto before = service_.rpcs();
  const auto killed = co_await one.kill();
  co_await wait_until_left(one);
  found.left = record_of(one).last_disconnect - killed;
  next_chapter(
      fmt::format("after {:.1f} ms the pool has left {}, and the others do its work", ms(found.left), one.name()));
  co_await pass(1s);
  next_chapter(fmt::format("{} starts again", one.name()));
  const auto started = co_await one.start();
  co_await wait_until_back(one);
  found.back = since(started, one);
  found.rpcs = service_.rpcs() - before;
  next_chapter(fmt::format("{} was back after {:.0f} ms; RPCs: {}", one.name(), ms(found.back), found.rpcs.text()));
}

asio::awaitable<void> story::drain(findings::part& found) {
  next_chapter("drain(): no RPC begins any more, those in flight are awaited");
  const auto before = service_.rpcs();
  const auto begin = steady_clock::now();
  co_await service_.drain(2s);
  found.back = steady_clock::now() - begin;
  const auto none_left = [this] { return service_.callers_left() == 0; };
  const std::string what = "every caller has ended";
  co_await wait_until(what, none_left);
  found.rpcs = service_.rpcs() - before;
  next_chapter(fmt::format("drained after {:.0f} ms; RPCs: {}", ms(found.back), found.rpcs.text()));
}

void story::next_chapter(std::string title) {
  chapter_ = std::move(title);
  turn_page_();
}

asio::awaitable<void> story::wait_until_left(const backend& one) const {
  const std::string what = fmt::format("the pool has left {}", one.name());
  const auto left = [&] { return connected_to(one) == 0; };
  co_await wait_until(what, left);
}

asio::awaitable<void> story::wait_until_connected(const backend& one) const {
  const std::string what = fmt::format("all connections to {} are up", one.name());
  const auto up = [&] { return connected_to(one) == greeting_service::connections; };
  co_await wait_until(what, up);
}

/// It is back when it is connected and answers RPCs.
asio::awaitable<void> story::wait_until_back(const backend& one) const {
  const auto before = record_of(one).rpcs.ok;
  co_await wait_until_connected(one);
  const std::string what = fmt::format("{} answers RPCs", one.name());
  const auto answers = [&] { return record_of(one).rpcs.ok > before; };
  co_await wait_until(what, answers);
}

std::size_t story::connected_to(const backend& one) const {
  const auto status = service_.status();
  const auto found = std::ranges::find(status.addresses, one.address(), &conn_grpc::address_status::address);
  return found == status.addresses.end() ? 0 : found->current_size;
}

const backend_record& story::record_of(const backend& one) const { return service_.record_of(one.address()); }

/// How long after that the last connection was made. It may have been quicker than the message that the server listens.
steady_clock::duration story::since(time_point begin, const backend& one) const {
  return std::max(record_of(one).last_connect - begin, steady_clock::duration::zero());
}

}  // namespace demo
