// SPDX-License-Identifier: BSL-1.0
// Does anything grow, or stop, when gRPC works in the io_context for an hour?
//
// soak GREETER_SERVER MINUTES: unary RPCs of `client`, and streams, over five connections to
// each of two servers, in an event_engine_scope. Every few seconds one server is killed, shut
// down or frozen. It comes back within a second. Every ten seconds a line shows the RPCs that
// have been answered in them, their 99th percentile, and the CPU time; and what the process
// uses. Failed RPCs and losses are counted from the beginning. The program fails when nothing
// is answered for ten seconds, when RPCs do not end, or when its memory has grown by more than
// a tenth from the first quarter to the last. It is not part of bench/run.
#include <conn_grpc/client.hpp>
#include <conn_grpc/event_engine.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/streams.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "backend_process.hpp"
#include "greeter.grpc.pb.h"
#include "latency_histogram.hpp"
#include "process.hpp"
#include "support.hpp"
#include "support/sockets.hpp"

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace conn_grpc::bench;
using conn_grpc::test::Greeter;
using methods = class Greeter::Stub::async;

constexpr auto step = 10s;
constexpr auto pause_between_losses = 3s;
constexpr int unary_callers = 64;
constexpr int stream_callers = 8;  // of each kind
constexpr int messages_per_stream = 200;

struct outcome {
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> failed{0};
  latency_histogram latencies;  // of unary RPCs
  std::atomic<bool> over{false};
  std::atomic<int> running{0};
};

class callers {
 public:
  callers(asio::io_context& io, conn_grpc::pool& pool, outcome& results) : io_(io), greets_(pool), results_(results) {}

  void start() {
    start(unary_callers, [this] { return greets(); });
    start(stream_callers, [this] { return reads(); });
    start(stream_callers, [this] { return writes(); });
    start(stream_callers, [this] { return takes_turns(); });
  }

 private:
  void start(int count, const std::function<asio::awaitable<grpc::Status>()>& one) {
    for (int i = 0; i < count; ++i) {
      ++results_.running;
      asio::co_spawn(io_, repeats(one), [this](const std::exception_ptr& thrown) {
        if (thrown) std::rethrow_exception(thrown);
        --results_.running;
      });
    }
  }

  // A caller whose RPC has failed pauses, so that failures are not a busy loop.
  asio::awaitable<void> repeats(std::function<asio::awaitable<grpc::Status>()> one) {
    asio::steady_timer pause(io_);
    while (!results_.over) {
      const auto status = co_await one();
      ++(status.ok() ? results_.answered : results_.failed);
      if (status.ok()) continue;
      pause.expires_after(10ms);
      co_await pause.async_wait(asio::use_awaitable);
    }
  }

  [[nodiscard]] static conn_grpc::call_options within_seconds() { return {.timeout = 5s}; }

  asio::awaitable<grpc::Status> greets() {
    const stopwatch since;
    conn_grpc::test::HelloRequest request;
    request.set_name("soak");
    conn_grpc::test::HelloReply reply;
    const auto options = within_seconds();
    const auto status = co_await greets_.call(&methods::SayHello, request, reply, options);
    if (status.ok()) results_.latencies.add(since.ms() * 1e3);
    co_return status;
  }

  asio::awaitable<grpc::Status> reads() {
    conn_grpc::test::CountdownRequest request;
    request.set_from(messages_per_stream);
    request.set_size(100);
    const auto options = within_seconds();
    auto in = co_await greets_.open(&methods::Countdown, request, options);
    conn_grpc::test::CountdownReply reply;
    while (co_await in.read(reply)) keep(reply);
    co_return co_await in.finish();
  }

  asio::awaitable<grpc::Status> writes() {
    conn_grpc::test::CollectRequest request;
    request.set_payload(std::string(100, 'x'));
    conn_grpc::test::CollectReply reply;
    const auto options = within_seconds();
    auto out = co_await greets_.open(&methods::Collect, reply, options);
    for (int i = 0; i < messages_per_stream; ++i)
      if (!co_await out.write(request)) break;
    const auto status = co_await out.finish();
    if (status.ok() && reply.count() != messages_per_stream) throw std::runtime_error("a message was lost");
    co_return status;
  }

  asio::awaitable<grpc::Status> takes_turns() {
    conn_grpc::test::ChatMessage message;
    message.set_text("soak");
    conn_grpc::test::ChatMessage reply;
    const auto options = within_seconds();
    auto both = co_await greets_.open(&methods::Chat, options);
    for (int i = 0; i < messages_per_stream; ++i) {
      if (!co_await both.write(message)) break;
      if (!co_await both.read(reply)) break;
    }
    (void)co_await both.writes_done();
    while (co_await both.read(reply)) keep(reply);
    co_return co_await both.finish();
  }

  asio::io_context& io_;
  const conn_grpc::client<Greeter> greets_;
  outcome& results_;
};

/// Disturbs two backends in turn, until the thread is asked to stop: kills both, then shuts
/// both down, then freezes both. Each comes back.
class trouble {
 public:
  explicit trouble(const std::string& executable) : backends_(start_backends(2, executable)) {}
  void start() {
    thread_ = std::jthread([this](const std::stop_token& stops) {
      for (std::size_t i = 0; !stops.stop_requested(); ++i) {
        std::this_thread::sleep_for(pause_between_losses);
        lose(backends_[i % backends_.size()], i / backends_.size() % 3);
        ++losses_;
      }
    });
  }

  [[nodiscard]] std::vector<std::string> addresses() const { return addresses_of(backends_); }
  [[nodiscard]] std::size_t losses() const { return losses_; }

 private:
  static void lose(backend& one, std::size_t way) {
    if (way == 2) {
      const frozen stopped(one);
      std::this_thread::sleep_for(1s);
      return;
    }
    if (way == 0)
      one.kill();
    else
      one.shut_down();
    std::this_thread::sleep_for(200ms);
    one.start();
  }

  std::deque<backend> backends_;
  std::atomic<std::size_t> losses_{0};
  std::jthread thread_;
};

/// @returns whether all went well.
bool watch(outcome& results, const trouble& losses, std::chrono::minutes time) {
  std::printf("%8s %12s %10s %8s %10s %10s %8s %8s %10s\n", "seconds", "answered", "failed", "losses", "p99 us",
              "RSS KiB", "files", "threads", "CPU ms/s");
  const auto steps = static_cast<std::size_t>(time / step);
  samples memory;
  std::uint64_t answered = 0;
  double cpu = usage::now().cpu_ms;
  for (std::size_t i = 1; i <= steps; ++i) {
    std::this_thread::sleep_for(step);
    const auto now = results.answered.load();
    const double cpu_now = usage::now().cpu_ms;
    memory.push_back(static_cast<double>(conn_grpc::test::resident_kib()));
    std::printf("%8lld %12llu %10llu %8zu %10.0f %10.0f %8zu %8zu %10.1f\n", static_cast<long long>(i * 10),
                static_cast<unsigned long long>(now - answered), static_cast<unsigned long long>(results.failed.load()),
                losses.losses(), results.latencies.quantile(0.99), memory.back(), conn_grpc::test::open_files(),
                conn_grpc::test::threads(), (cpu_now - cpu) / 10);
    std::fflush(stdout);
    results.latencies.clear();
    if (now == answered) {
      std::puts("FAILED: nothing was answered for ten seconds");
      return false;
    }
    answered = now;
    cpu = cpu_now;
  }
  const auto quarter = static_cast<std::ptrdiff_t>(memory.size() / 4);
  const double first = median({memory.begin(), memory.begin() + quarter});
  const double last = median({memory.end() - quarter, memory.end()});
  std::printf("memory in the first quarter %.0f KiB, in the last one %.0f KiB\n", first, last);
  if (last <= first * 1.1) return true;
  std::puts("FAILED: the memory has grown by more than a tenth");
  return false;
}

}  // namespace

int main(int argc, char** argv) try {
  const int minutes = argc == 3 ? std::atoi(argv[2]) : 0;
  if (minutes < 1) {
    std::fputs("usage: soak GREETER_SERVER MINUTES\n", stderr);
    return 2;
  }
  trouble losses(argv[1]);
  outcome results;
  asio::io_context io;
  const conn_grpc::event_engine_scope scope(io);
  conn_grpc::pool_options options{
      .name = "soak", .pool_size = 5, .channel = {.backoff = {.min = 50ms, .max = 1s}, .stable_after = 1ms}};
  options.addresses = losses.addresses();
  conn_grpc::pool pool(io, options);
  pool.async_run(asio::detached);
  callers all(io, pool, results);
  all.start();
  std::jthread thread([&io] { io.run(); });
  losses.start();
  const bool went_well = watch(results, losses, std::chrono::minutes(minutes));
  results.over = true;
  for (const stopwatch waiting; results.running > 0 && waiting.ms() < 15'000;) std::this_thread::sleep_for(10ms);
  if (results.running > 0) {
    std::puts("FAILED: RPCs do not end");
    std::_Exit(1);  // they refer to objects of this function
  }
  pool.stop();
  thread.join();
  return went_well ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "soak: %s\n", e.what());
  return 1;
}
