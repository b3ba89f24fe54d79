// SPDX-License-Identifier: BSL-1.0
// What does a waiting get cost?
//
// 1, 100 and 10,000 coroutines wait in `co_await pool.get_channel(timeout)`. From the moment a connection is there
// (gRPC said so; what the pool does first is to reset the channel's backoff, which takes the time, then it publishes)
// until the last of them runs, per coroutine; and until the first one runs. Against as many asio::post of an empty
// function to the same executor from the same thread. The connection is to a server in this process, which needs no
// network: gRPC has no part in what is measured.
//
// "same thread": one thread runs the pool and the coroutines, as in most programs. "other thread": the coroutines'
// io_context has a thread of its own, which sleeps meanwhile.
//
// And many: 100,000 callbacks wait on the context that runs the pool. What ends their waiting (a stop, a connection, a
// deadline) must hold up neither the thread that does it nor other handlers of that context: how long does it take,
// and how long does a handler wait at most that posts itself again and again? Against as many posts.
//
// Besides, what Asio itself has for waiting: a timer that all wait for, cancelled at once; and a channel from which all
// receive. Neither keeps anything connected.
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

constexpr int crowds[] = {1, 100, 10'000};
constexpr std::size_t rounds = 401;
constexpr double budget_ms = 8'000;  // per crowd and thread
constexpr int mass = 100'000;
constexpr std::size_t mass_rounds = 9;

/// The moment it began, and those at which the first and the last of a crowd ran.
class finish {
 public:
  explicit finish(int crowd) : missing_(crowd) {}

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

/// Where the pool lives, which this thread runs by hand; and where the crowd waits: there, too, or on another thread.
class world {
 public:
  explicit world(bool other_thread) {
    if (!other_thread) return;
    other_.emplace();
    work_.emplace(other_->get_executor());
    thread_ = std::jthread([this] { other_->run(); });
  }
  ~world() { work_.reset(); }
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  [[nodiscard]] asio::io_context& mine() { return mine_; }
  [[nodiscard]] asio::any_io_executor crowds() { return other_ ? other_->get_executor() : mine_.get_executor(); }

  /// The coroutines that were spawned there have come as far as they can by themselves. On this thread they have not
  /// yet, but will before anything that is posted later.
  void let_them_wait() {
    if (!other_) return;
    asio::post(*other_, asio::use_future).get();
    std::this_thread::sleep_for(std::chrono::microseconds(50));  // until the thread sleeps, too
  }

  /// Until the crowd has run, and nothing is left to do here.
  void run(const finish& line) {
    const auto deadline = clock_type::now() + std::chrono::seconds(10);
    do {
      mine_.restart();
      mine_.poll();
      if (clock_type::now() > deadline) throw std::runtime_error("they wait for ever");
    } while (!other_ && !line.complete());
    line.wait();
  }

 private:
  asio::io_context mine_{1};
  std::optional<asio::io_context> other_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::jthread thread_;
};

struct timing {
  double first_ns, last_ns;
};

timing posts(world& w, int crowd) {
  finish line(crowd);
  const auto executor = w.crowds();
  w.let_them_wait();
  asio::post(w.mine(), [&] {
    for (int i = 0; i < crowd; ++i) line.will_wait();
    line.begin();
    for (int i = 0; i < crowd; ++i) asio::post(executor, [&line] { line.runs(); });
  });
  w.run(line);
  return {line.first_ns(), line.last_ns()};
}

template <class Wait>
asio::awaitable<void> waiter(Wait wait, finish& line) {
  line.will_wait();
  co_await wait();
  line.runs();
}

template <class Wait>
void spawn(world& w, int crowd, finish& line, Wait wait) {
  for (int i = 0; i < crowd; ++i) asio::co_spawn(w.crowds(), waiter(wait, line), asio::detached);
  w.let_them_wait();
}

timing timer(world& w, int crowd) {
  finish line(crowd);
  asio::steady_timer never(w.crowds(), clock_type::time_point::max());
  spawn(w, crowd, line, [&] { return never.async_wait(asio::as_tuple(asio::use_awaitable)); });
  asio::post(w.mine(), [&] {
    line.begin();
    never.cancel();
  });
  w.run(line);
  return {line.first_ns(), line.last_ns()};
}

timing channel(world& w, int crowd) {
  finish line(crowd);
  asio::experimental::concurrent_channel<void(conn_grpc::error_code, conn_grpc::channel_ptr)> source(w.crowds());
  const conn_grpc::channel_ptr nothing;
  spawn(w, crowd, line, [&] { return source.async_receive(asio::use_awaitable); });
  asio::post(w.mine(), [&] {
    line.begin();
    for (int i = 0; i < crowd; ++i) source.try_send(conn_grpc::error_code(), nothing);
  });
  w.run(line);
  return {line.first_ns(), line.last_ns()};
}

/// Says when the channel has connected.
class telling_backoff final : public conn_grpc::backoff {
 public:
  explicit telling_backoff(finish& line) : line_(line) {}
  std::chrono::milliseconds next() override { return std::chrono::milliseconds(1); }
  void reset() override { line_.begin(); }

 private:
  finish& line_;
};

timing gets(world& w, int crowd, grpc::Server& server) {
  finish line(crowd);
  conn_grpc::pool pool(
      w.mine(),
      {.channel = {.address = "in this process",
                   .make_backoff = [&](conn_grpc::backoff_range) { return std::make_unique<telling_backoff>(line); },
                   .create_channel = [&](const auto&, const auto&,
                                         const auto& arguments) { return server.InProcessChannel(arguments); }}});
  pool.async_run(asio::detached);
  spawn(w, crowd, line, [&] { return pool.get_channel(std::chrono::seconds(30)); });
  w.run(line);
  pool.stop();
  w.mine().restart();
  w.mine().poll();
  return {line.first_ns(), line.last_ns()};
}

struct way {
  const char* name;
  std::function<timing(world&, int crowd)> measure;
  samples first{}, last{};
};

void compare(bool other_thread, grpc::Server& server) {
  const std::string where = other_thread ? "other thread" : "same thread";
  std::vector<std::string> head{where + ", ns"};
  std::vector<std::vector<std::string>> rows;
  world w(other_thread);
  for (const int crowd : crowds) {
    const std::string n = std::to_string(crowd);
    head.insert(head.end(), {crowd == 1 ? "1 waits" : n + " wait: each", "x"});
    if (crowd > 1) head.insert(head.end(), {"the first", "x"});

    std::vector<way> ways{
        {"asio::post", posts},
        {"pool.get_channel(timeout)", [&](world& here, int many) { return gets(here, many, server); }},
        {"timer, cancelled", timer},
        {"Asio's concurrent_channel", channel},
    };
    const stopwatch spent;
    for (std::size_t round = 0; round < rounds && spent.ms() < budget_ms; ++round) {
      for (auto& way : ways) {
        const auto took = way.measure(w, crowd);
        way.first.push_back(took.first_ns);
        way.last.push_back(took.last_ns / crowd);
      }
    }

    rows.resize(ways.size());
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const auto& now = ways[i];
      const double each = median(now.last);
      const auto ratio = typical_ratio(now.last, ways[0].last), first = typical_ratio(now.first, ways[0].first);
      if (rows[i].empty()) rows[i].push_back(now.name);
      rows[i].insert(rows[i].end(), {number(each, 0), number(ratio, 2)});
      if (crowd > 1) rows[i].insert(rows[i].end(), {number(median(now.first), 0), number(first, 2)});
      record("waiting", where + ", " + now.name + ": ns each", crowd, each);
      record("waiting", where + ", " + now.name + ": ratio", crowd, ratio);
      record("waiting", where + ", " + now.name + ": us until the first runs", crowd, median(now.first) / 1e3);
    }
  }
  table result(head);
  for (auto& row : rows) result.add(std::move(row));
  std::printf("\n");
  result.print();
}

/// A handler that posts itself again and again: the longest that it waited for its turn.
class metronome {
 public:
  explicit metronome(asio::io_context& io) : io_(io) { again(); }
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

struct mass_timing {
  double begin_ms, longest_ms, all_ms;
};

/// @param begin returns once it has begun to complete them.
template <class Begin>
mass_timing complete_all(asio::io_context& io, const int& missing, Begin begin) {
  const stopwatch spent;
  const metronome others(io);
  begin();
  const double begin_ms = spent.ms();
  while (missing > 0) io.poll_one();
  return {begin_ms, others.longest_ms(), spent.ms()};
}

mass_timing mass_of_posts() {
  asio::io_context io{1};
  int missing = mass;
  return complete_all(io, missing, [&] {
    for (int i = 0; i < mass; ++i) asio::post(io, [&] { --missing; });
  });
}

enum class ending { stop, connection, deadline };

mass_timing mass_of_gets(ending how, grpc::Server& server) {
  asio::io_context io{1};
  int missing = mass;
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
  for (int i = 0; i < mass; ++i)
    pool.async_get_channel(timeout, [&](conn_grpc::error_code, const conn_grpc::channel_ptr&) { --missing; });
  if (missing != mass) throw std::logic_error("completed before all waited");
  return complete_all(io, missing, [&] {
    if (how == ending::stop) pool.stop();
  });
}

void end_masses(grpc::Server& server) {
  struct mass_way {
    const char* name;
    std::function<mass_timing()> measure;
    samples begin{}, longest{}, all{};
  };
  std::vector<mass_way> ways{
      {"asio::post", mass_of_posts},
      {"pool.stop()", [&] { return mass_of_gets(ending::stop, server); }},
      {"a connection", [&] { return mass_of_gets(ending::connection, server); }},
      {"a deadline", [&] { return mass_of_gets(ending::deadline, server); }},
  };
  for (std::size_t round = 0; round < mass_rounds; ++round) {
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
    record("waiting", series + ": ms of the call", mass, call);
    record("waiting", series + ": ms of the longest wait of others", mass, longest);
    record("waiting", series + ": ratio", mass, ratio);
  }
  std::printf("\n");
  result.print();
}

}  // namespace

int main() try {
  warn_unless_optimized();
  ::setenv("GRPC_VERBOSITY", "NONE", 1);  // it complains when asked how an in-process channel is
  grpc::CallbackGenericService anything;  // a server must serve something
  const auto server = grpc::ServerBuilder().RegisterCallbackGenericService(&anything).BuildAndStart();
  if (!server) throw std::runtime_error("no server");
  std::printf("medians of up to %zu rounds\n", rounds);
  for (const bool other_thread : {false, true}) compare(other_thread, *server);
  end_masses(*server);
  server->Shutdown();
} catch (const std::exception& e) {
  std::fprintf(stderr, "waiting: %s\n", e.what());
  return 1;
}
