// SPDX-License-Identifier: BSL-1.0
// RPCs, a number of them at once, each followed by the next: through a pool in
// coroutines, and with gRPC's callback API alone.
#pragma once

#include <conn_grpc/client.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/unary.hpp>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "greeter.grpc.pb.h"
#include "latency_histogram.hpp"
#include "process.hpp"

namespace conn_grpc::bench {

using greeter = test::Greeter;

/// A number of callers, each with one RPC in flight, until the load is over. Thread-safe.
class load {
 public:
  load(int callers, std::chrono::milliseconds server_takes) : callers_(callers), running_(callers) {
    request_.set_name("bench");
    request_.set_delay_ms(static_cast<int>(server_takes.count()));
  }

  [[nodiscard]] int callers() const { return callers_; }
  [[nodiscard]] const test::HelloRequest& request() const { return request_; }

  // For the callers.

  [[nodiscard]] bool is_over() const { return over_.load(std::memory_order_relaxed); }

  /// @param since Was started when the caller began the RPC.
  void answered(const grpc::Status& status, const stopwatch& since) {
    if (!status.ok()) return fail(status.error_message());
    answers_.fetch_add(1, std::memory_order_relaxed);
    latencies_.add(since.ms() * 1e3);
  }

  void leave(const std::exception_ptr& thrown = nullptr) {
    if (thrown) fail("a caller threw");
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) all_left_.notify_all();
  }

  // For the measurement.

  [[nodiscard]] double answers() const { return static_cast<double>(answers_.load(std::memory_order_relaxed)); }
  [[nodiscard]] latency_histogram& latencies() { return latencies_; }

  /// Ends the load. Throws when an RPC has failed.
  void end() {
    over_ = true;
    std::unique_lock lock(mutex_);
    if (!all_left_.wait_for(lock, std::chrono::seconds(15), [this] { return running_ == 0; })) {
      std::fputs("RPCs do not end\n", stderr);
      std::abort();  // they refer to this object
    }
    if (!failure_.empty()) throw std::runtime_error("an RPC failed: " + failure_);
  }

 private:
  void fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    failure_ = why;
    over_ = true;
  }

  const int callers_;
  test::HelloRequest request_;
  std::atomic<bool> over_{false};
  alignas(64) std::atomic<std::uint64_t> answers_{0};
  latency_histogram latencies_;
  std::mutex mutex_;
  std::condition_variable all_left_;
  int running_;
  std::string failure_;
};

struct throughput {
  double per_second = 0;
  double cpu_us = 0;  // of this process, per RPC
  double p99_us = 0;  // from the beginning of an RPC until its caller has the answer
};

/// Measures `subject` under full load. The window begins when each caller has been
/// answered twice on average. It lasts for `window`, and until each has been answered
/// twice more. Callers that begin at once take turns for a while.
/// @param meanwhile called at the beginning and at the end of the window.
template <class Subject, class Meanwhile>
throughput measure(Subject& subject, load& all, std::chrono::milliseconds window, Meanwhile meanwhile) {
  const stopwatch since_begin;
  const auto round_trips = [&](double answers) {
    while (all.answers() < answers && since_begin.ms() < 5'000)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  const double twice = 2.0 * all.callers();
  [[maybe_unused]] const auto calls = subject.start(all);
  round_trips(twice);

  meanwhile();
  all.latencies().clear();
  const auto before = usage::now();
  const double answers = all.answers();
  const stopwatch watch;
  std::this_thread::sleep_for(window);
  round_trips(answers + twice);
  const double more = all.answers() - answers;
  const double ms = watch.ms();
  const auto used = usage::now() - before;
  const double p99 = all.latencies().quantile(0.99);
  meanwhile();
  all.end();
  return {.per_second = more / ms * 1e3, .cpu_us = used.cpu_ms / more * 1e3, .p99_us = p99};
}

/// An io_context on a thread of its own. It waits for a timer, as the io_context of a
/// service waits for something. An io_context that waits for nothing is woken up by a
/// cheaper call to the kernel.
class running_context {
 public:
  running_context() = default;
  ~running_context() {
    asio::post(io_, [this] { never_.cancel(); });
    work_.reset();
  }
  running_context(const running_context&) = delete;
  running_context& operator=(const running_context&) = delete;

  [[nodiscard]] asio::io_context& get() { return io_; }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::steady_timer never_{io_, asio::steady_timer::time_point::max()};
  std::jthread thread_{[this] {
    never_.async_wait([](error_code) {});
    io_.run();
  }};
};

template <class Call>
std::nullptr_t spawn_callers(asio::io_context& io, load& all, Call call) {
  for (int i = 0; i < all.callers(); ++i)
    asio::co_spawn(io, call(), [&all](const std::exception_ptr& thrown) { all.leave(thrown); });
  return nullptr;
}

/// Callers that get a channel, make a stub and await `unary`.
struct by_hand {
  pool& from;

  asio::awaitable<void> call(load& all) const {
    while (!all.is_over()) {
      const stopwatch since;
      const auto stub = greeter::NewStub(co_await from.get_channel());
      grpc::ClientContext context;
      test::HelloReply reply;
      all.answered(co_await unary(*stub, &greeter::Stub::async::SayHello, context, all.request(), reply), since);
    }
  }
};

/// Callers that await `client::call`.
struct by_client {
  explicit by_client(pool& from) : greets(from) {}
  client<greeter> greets;

  asio::awaitable<void> call(load& all) const {
    while (!all.is_over()) {
      const stopwatch since;
      test::HelloReply reply;
      all.answered(co_await greets.call(&greeter::Stub::async::SayHello, all.request(), reply), since);
    }
  }
};

/// Coroutines on a context of their own, over the channels of a pool.
/// @tparam Callers by_hand or by_client.
template <class Callers>
class pooled_calls {
 public:
  pooled_calls(const std::string& address, std::size_t channels)
      : pooled_calls({.name = "bench", .pool_size = channels, .channel = {.address = address}}) {}
  explicit pooled_calls(pool_options options) : pool_(context_.get(), std::move(options)) {
    pool_.async_run(asio::detached);
    pool_.async_connected(pool_.status().expected_size, std::chrono::seconds(10), asio::use_future).get();
  }
  ~pooled_calls() { pool_.stop(); }
  pooled_calls(const pooled_calls&) = delete;
  pooled_calls& operator=(const pooled_calls&) = delete;

  /// The result, here nothing, must exist until the load has ended.
  std::nullptr_t start(load& all) {
    return spawn_callers(context_.get(), all, [&] { return callers_.call(all); });
  }
  [[nodiscard]] pool_status status() const { return pool_.status(); }

 private:
  running_context context_;
  pool pool_;
  const Callers callers_{pool_};
};

/// Stubs of connected channels, in turn. A caller does not take the stub after its last
/// one. That would keep those callers together that were answered together, and would
/// spare gRPC most of its writes.
class stubs_in_turn {
 public:
  stubs_in_turn(const std::string& address, std::size_t channels) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    for (std::size_t i = 0; i < channels; ++i) {
      const auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
      if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10)))
        throw std::runtime_error("cannot connect to " + address);
      stubs_.push_back(greeter::NewStub(channel));
    }
  }

  [[nodiscard]] greeter::Stub& next() { return *stubs_[turn_.fetch_add(1, std::memory_order_relaxed) % stubs_.size()]; }

 private:
  std::vector<std::unique_ptr<greeter::Stub>> stubs_;
  std::atomic<std::size_t> turn_{0};
};

/// The callback of each RPC begins the next RPC. `Resume` decides where: gRPC's threads
/// call it with the continuation.
template <class Resume>
class plain_calls {
 public:
  plain_calls(const std::string& address, std::size_t channels, Resume resume)
      : resume_(std::move(resume)), stubs_(address, channels) {}

  auto start(load& all) {
    std::vector<std::unique_ptr<caller>> callers;
    for (int i = 0; i < all.callers(); ++i) callers.push_back(std::make_unique<caller>(*this, all));
    for (const auto& c : callers) c->next();
    return callers;
  }

 private:
  class caller {
   public:
    caller(plain_calls& calls, load& all) : calls_(calls), all_(all) {}

    void next() {
      if (all_.is_over()) return all_.leave();
      since_ = stopwatch();
      context_.emplace();
      calls_.stubs_.next().async()->SayHello(&*context_, &all_.request(), &reply_, [this](const grpc::Status& status) {
        all_.answered(status, since_);
        calls_.resume_([this] { next(); });
      });
    }

   private:
    plain_calls& calls_;
    load& all_;
    stopwatch since_;
    std::optional<grpc::ClientContext> context_;
    test::HelloReply reply_;
  };

  Resume resume_;
  stubs_in_turn stubs_;
};

/// Continues on gRPC's thread that has called back.
constexpr auto at_once = [](auto go_on) { go_on(); };

/// Continues on an io_context: the least that a program does whose RPCs end where the
/// rest of it runs.
inline auto posted_to(asio::io_context& io) {
  return [&io](auto go_on) { asio::post(io, go_on); };
}

/// Coroutines that await a callback, with the least code that does so.
class awaited_calls {
 public:
  awaited_calls(asio::io_context& io, const std::string& address, std::size_t channels)
      : io_(io), stubs_(address, channels) {}

  /// The result, here nothing, must exist until the load has ended.
  std::nullptr_t start(load& all) {
    return spawn_callers(io_, all, [&] { return call(all); });
  }

 private:
  asio::awaitable<void> call(load& all) {
    while (!all.is_over()) {
      const stopwatch since;
      grpc::ClientContext context;
      test::HelloReply reply;
      all.answered(co_await say_hello(stubs_.next(), context, all.request(), reply), since);
    }
  }

  static asio::awaitable<grpc::Status> say_hello(greeter::Stub& stub, grpc::ClientContext& context,
                                                 const test::HelloRequest& request, test::HelloReply& reply) {
    return asio::async_initiate<decltype(asio::use_awaitable), void(grpc::Status)>(
        [&](auto handler) {
          const auto shared = std::make_shared<decltype(handler)>(std::move(handler));  // std::function copies
          stub.async()->SayHello(&context, &request, &reply, [shared](grpc::Status status) {
            asio::post(asio::get_associated_executor(*shared),
                       [shared, status = std::move(status)]() mutable { std::move (*shared)(std::move(status)); });
          });
        },
        asio::use_awaitable);
  }

  asio::io_context& io_;
  stubs_in_turn stubs_;
};

}  // namespace conn_grpc::bench
