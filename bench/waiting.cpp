// SPDX-License-Identifier: BSL-1.0
// What does a waiting get cost?
//
// 1, 100 and 10,000 coroutines wait in `co_await pool.get_channel(timeout)`. The time per
// coroutine is taken from the connection until the last coroutine runs. The time until
// the first coroutine runs is taken, too. It begins when gRPC has reported the
// connection. The pool resets the channel's backoff first, which takes the time, and then
// publishes. The reference is as many asio::post of an empty function to the same
// executor from the same thread. The connection is to a server in this process, which
// needs no network, so gRPC has no part in what is measured.
//
// "same thread": one thread runs the pool and the coroutines, as in most programs. "other
// thread": the coroutines' io_context has a thread of its own, which sleeps meanwhile.
//
// Many waiters: 100,000 callbacks wait on the context that runs the pool. A stop, a
// connection or a deadline ends their waiting. That must delay neither the thread that
// does it nor other handlers of that context. The whole time is measured, and the longest
// wait of a handler that posts itself again and again. The reference is as many posts.
//
// Two ways of Asio's own to wait are measured, too: a timer for which all wait, cancelled
// at once; and a channel from which all receive. Neither keeps anything connected.
#include <conn_grpc/pool.hpp>

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process.hpp"
#include "support.hpp"

namespace {

namespace asio = boost::asio;
using namespace conn_grpc::bench;
using clock_type = std::chrono::steady_clock;

constexpr int counts[] = {1, 100, 10'000};
constexpr std::size_t rounds = 401;
constexpr double budget_ms = 8'000;  // per count and thread
constexpr int waiter_count = 100'000;
constexpr std::size_t many_rounds = 9;

/// The time at which it began, and those at which the first and the last of `count`
/// waiters ran.
class completion_times {
 public:
  explicit completion_times(int count) : missing_(count) {}

  void begin() {
    if (waiting_ != missing_) too_early_ = true;
    begin_ = clock_type::now();
  }
  void will_wait() { ++waiting_; }
  void runs() {
    if (!first_) first_ = clock_type::now();
    if (--missing_ > 0) return;
    last_ = clock_type::now();
    complete_ = true;
    complete_.notify_all();
  }

  [[nodiscard]] bool complete() const { return complete_; }
  void wait() const { complete_.wait(false); }

  [[nodiscard]] double first_ns() const { return ns(*first_); }
  [[nodiscard]] double last_ns() const { return ns(last_); }

 private:
  double ns(clock_type::time_point when) const {
    if (too_early_) throw std::logic_error("connected before all waited");
    return std::chrono::duration<double, std::nano>(when - begin_).count();
  }

  int missing_;
  int waiting_ = 0;
  bool too_early_ = false;
  clock_type::time_point begin_{}, last_{};
  std::optional<clock_type::time_point> first_{};
  std::atomic<bool> complete_{false};
};

/// The context of the pool, which this thread runs by hand; and that of the waiters: the
/// same, or another one with a thread of its own.
class contexts {
 public:
  explicit contexts(bool other_thread) {
    if (!other_thread) return;
    other_.emplace();
    work_.emplace(other_->get_executor());
    thread_ = std::jthread([this] { other_->run(); });
  }
  ~contexts() { work_.reset(); }
  contexts(const contexts&) = delete;
  contexts& operator=(const contexts&) = delete;

  [[nodiscard]] asio::io_context& pool_context() { return pool_context_; }
  [[nodiscard]] asio::any_io_executor waiters_executor() {
    return other_ ? other_->get_executor() : pool_context_.get_executor();
  }

  /// Returns when the coroutines that were spawned there wait. On this thread they do not
  /// wait yet, but will before anything that is posted later runs.
  void let_them_wait() {
    if (!other_) return;
    asio::post(*other_, asio::use_future).get();
    std::this_thread::sleep_for(std::chrono::microseconds(50));  // until the thread sleeps, too
  }

  /// Runs until the waiters have run, and nothing is left to do here.
  void run(const completion_times& times) {
    const auto deadline = clock_type::now() + std::chrono::seconds(10);
    do {
      pool_context_.restart();
      pool_context_.poll();
      if (clock_type::now() > deadline) throw std::runtime_error("they wait for ever");
    } while (!other_ && !times.complete());
    times.wait();
  }

 private:
  asio::io_context pool_context_{1};
  std::optional<asio::io_context> other_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::jthread thread_;
};

struct timing {
  double first_ns, last_ns;
};

timing posts(contexts& c, int count) {
  completion_times times(count);
  const auto executor = c.waiters_executor();
  c.let_them_wait();
  asio::post(c.pool_context(), [&] {
    for (int i = 0; i < count; ++i) times.will_wait();
    times.begin();
    for (int i = 0; i < count; ++i) asio::post(executor, [&times] { times.runs(); });
  });
  c.run(times);
  return {times.first_ns(), times.last_ns()};
}

template <class Wait>
asio::awaitable<void> waiter(Wait wait, completion_times& times) {
  times.will_wait();
  co_await wait();
  times.runs();
}

template <class Wait>
void spawn(contexts& c, int count, completion_times& times, Wait wait) {
  for (int i = 0; i < count; ++i) asio::co_spawn(c.waiters_executor(), waiter(wait, times), asio::detached);
  c.let_them_wait();
}

timing timer(contexts& c, int count) {
  completion_times times(count);
  asio::steady_timer never(c.waiters_executor(), clock_type::time_point::max());
  spawn(c, count, times, [&] { return never.async_wait(asio::as_tuple(asio::use_awaitable)); });
  asio::post(c.pool_context(), [&] {
    times.begin();
    never.cancel();
  });
  c.run(times);
  return {times.first_ns(), times.last_ns()};
}

timing channel(contexts& c, int count) {
  completion_times times(count);
  asio::experimental::concurrent_channel<void(conn_grpc::error_code, conn_grpc::channel_ptr)> source(
      c.waiters_executor());
  const conn_grpc::channel_ptr nothing;
  spawn(c, count, times, [&] { return source.async_receive(asio::use_awaitable); });
  asio::post(c.pool_context(), [&] {
    times.begin();
    for (int i = 0; i < count; ++i) source.try_send(conn_grpc::error_code(), nothing);
  });
  c.run(times);
  return {times.first_ns(), times.last_ns()};
}

/// Records when the channel has connected.
class reporting_backoff final : public conn_grpc::backoff {
 public:
  explicit reporting_backoff(completion_times& times) : times_(times) {}
  std::chrono::milliseconds next() override { return std::chrono::milliseconds(1); }
  void reset() override { times_.begin(); }

 private:
  completion_times& times_;
};

timing gets(contexts& c, int count, grpc::Server& server) {
  completion_times times(count);
  conn_grpc::pool pool(
      c.pool_context(),
      {.channel = {.address = "in this process",
                   .make_backoff = [&](conn_grpc::backoff_range) { return std::make_unique<reporting_backoff>(times); },
                   .create_channel = [&](const auto&, const auto&,
                                         const auto& arguments) { return server.InProcessChannel(arguments); }}});
  pool.async_run(asio::detached);
  spawn(c, count, times, [&] { return pool.get_channel(std::chrono::seconds(30)); });
  c.run(times);
  pool.stop();
  c.pool_context().restart();
  c.pool_context().poll();
  return {times.first_ns(), times.last_ns()};
}

struct way {
  const char* name;
  std::function<timing(contexts&, int count)> measure;
  samples first{}, last{};
};

void compare(bool other_thread, grpc::Server& server) {
  const std::string where = other_thread ? "other thread" : "same thread";
  std::vector<std::string> head{where + ", ns"};
  std::vector<std::vector<std::string>> rows;
  contexts c(other_thread);
  for (const int count : counts) {
    const std::string n = std::to_string(count);
    head.insert(head.end(), {count == 1 ? "1 waits" : n + " wait: each", "x"});
    if (count > 1) head.insert(head.end(), {"the first", "x"});

    std::vector<way> ways{
        {"asio::post", posts},
        {"pool.get_channel(timeout)", [&](contexts& here, int many) { return gets(here, many, server); }},
        {"timer, cancelled", timer},
        {"Asio's concurrent_channel", channel},
    };
    const stopwatch spent;
    for (std::size_t round = 0; round < rounds && spent.ms() < budget_ms; ++round) {
      for (auto& way : ways) {
        const auto took = way.measure(c, count);
        way.first.push_back(took.first_ns);
        way.last.push_back(took.last_ns / count);
      }
    }

    rows.resize(ways.size());
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const auto& now = ways[i];
      const double each = median(now.last);
      const auto ratio = typical_ratio(now.last, ways[0].last), first = typical_ratio(now.first, ways[0].first);
      if (rows[i].empty()) rows[i].push_back(now.name);
      rows[i].insert(rows[i].end(), {number(each, 0), number(ratio, 2)});
      if (count > 1) rows[i].insert(rows[i].end(), {number(median(now.first), 0), number(first, 2)});
      record("waiting", where + ", " + now.name + ": ns each", count, each);
      record("waiting", where + ", " + now.name + ": ratio", count, ratio);
      record("waiting", where + ", " + now.name + ": us until the first runs", count, median(now.first) / 1e3);
    }
  }
  table result(head);
  for (auto& row : rows) result.add(std::move(row));
  std::printf("\n");
  result.print();
}

/// A handler that posts itself again and again. It records the longest wait for its turn.
class repeated_post {
 public:
  explicit repeated_post(asio::io_context& io) : io_(io) { again(); }
  [[nodiscard]] double longest_ms() const { return std::chrono::duration<double, std::milli>(longest_).count(); }

 private:
  void again() {
    asio::post(io_, [this, posted = clock_type::now()] {
      longest_ = std::max(longest_, clock_type::now() - posted);
      again();
    });
  }

  asio::io_context& io_;
  clock_type::duration longest_{};
};

struct many_timing {
  double begin_ms, longest_ms, all_ms;
};

/// @param begin begins to complete the waiters, and returns.
template <class Begin>
many_timing complete_all(asio::io_context& io, const int& missing, Begin begin) {
  const stopwatch spent;
  const repeated_post others(io);
  begin();
  const double begin_ms = spent.ms();
  while (missing > 0) io.poll_one();
  return {begin_ms, others.longest_ms(), spent.ms()};
}

many_timing many_posts() {
  asio::io_context io{1};
  int missing = waiter_count;
  return complete_all(io, missing, [&] {
    for (int i = 0; i < waiter_count; ++i) asio::post(io, [&] { --missing; });
  });
}

enum class ending { stop, connection, deadline };

many_timing many_gets(ending how, grpc::Server& server) {
  asio::io_context io{1};
  int missing = waiter_count;
  conn_grpc::channel_options options{.address = "in this process",
                                     .backoff = {.min = std::chrono::hours(1), .max = std::chrono::hours(1)}};
  options.create_channel = [&](const auto&, const auto&, const auto& arguments) {
    return how == ending::connection
               ? server.InProcessChannel(arguments)
               : grpc::CreateCustomChannel("unix:/nowhere", grpc::InsecureChannelCredentials(), arguments);
  };
  conn_grpc::pool pool(io, {.channel = options});
  pool.async_run(asio::detached);
  const auto timeout = how == ending::deadline ? std::chrono::milliseconds(1) : std::chrono::milliseconds(3'600'000);
  for (int i = 0; i < waiter_count; ++i)
    pool.async_get_channel(timeout, [&](conn_grpc::error_code, const conn_grpc::channel_ptr&) { --missing; });
  if (missing != waiter_count) throw std::logic_error("completed before all waited");
  return complete_all(io, missing, [&] {
    if (how == ending::stop) pool.stop();
  });
}

void compare_many(grpc::Server& server) {
  struct many_way {
    const char* name;
    std::function<many_timing()> measure;
    samples begin{}, longest{}, all{};
  };
  std::vector<many_way> ways{
      {"asio::post", many_posts},
      {"pool.stop()", [&] { return many_gets(ending::stop, server); }},
      {"a connection", [&] { return many_gets(ending::connection, server); }},
      {"a deadline", [&] { return many_gets(ending::deadline, server); }},
  };
  for (std::size_t round = 0; round < many_rounds; ++round) {
    for (auto& way : ways) {
      const auto took = way.measure();
      way.begin.push_back(took.begin_ms);
      way.longest.push_back(took.longest_ms);
      way.all.push_back(took.all_ms);
    }
  }
  table result({"100,000 wait, ms", "the call", "longest wait of others", "until the last runs", "x"});
  for (const auto& way : ways) {
    const double call = median(way.begin), longest = median(way.longest), all = median(way.all);
    const auto ratio = typical_ratio(way.all, ways[0].all);
    result.add({way.name, number(call, 2), number(longest, 2), number(all, 1), number(ratio, 2)});
    const std::string series = std::string("ends by ") + way.name;
    record("waiting", series + ": ms of the call", waiter_count, call);
    record("waiting", series + ": ms of the longest wait of others", waiter_count, longest);
    record("waiting", series + ": ratio", waiter_count, ratio);
  }
  std::printf("\n");
  result.print();
}

}  // namespace

int main() try {
  warn_unless_optimized();
  ::setenv("GRPC_VERBOSITY", "NONE", 1);  // gRPC would log an error about the state of in-process channels
  grpc::CallbackGenericService anything;  // a server must serve something
  const auto server = grpc::ServerBuilder().RegisterCallbackGenericService(&anything).BuildAndStart();
  if (!server) throw std::runtime_error("no server");
  std::printf("medians of up to %zu rounds\n", rounds);
  for (const bool other_thread : {false, true}) compare(other_thread, *server);
  compare_many(*server);
  server->Shutdown();
} catch (const std::exception& e) {
  std::fprintf(stderr, "waiting: %s\n", e.what());
  return 1;
}
