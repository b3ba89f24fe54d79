// SPDX-License-Identifier: BSL-1.0
// Callers of several backends: through a pool, and through one gRPC channel with gRPC's
// policy round_robin. The callers are the same code; what differs is the channel.
#pragma once

#include <conn_grpc/pool.hpp>
#include <conn_grpc/telemetry.hpp>
#include <conn_grpc/unary.hpp>

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "call_record.hpp"
#include "rpc_load.hpp"

namespace conn_grpc::bench {

using namespace std::chrono_literals;

struct call_load {
  int callers = 200;  // each with one RPC in flight
  std::chrono::milliseconds server_takes = 50ms;
  std::chrono::milliseconds deadline = 5s;
};

/// Both try again about as soon after a failed attempt.
constexpr backoff_range retries{.min = 100ms, .max = 1s};

class subject {
 public:
  subject(std::string name, call_load load) : name_(std::move(name)), load_(load) {}
  virtual ~subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] call_record& calls() { return record_; }

  virtual void set_addresses(const std::vector<std::string>& addresses) = 0;
  virtual void refresh() {}
  /// Whether it can be seen from outside that the connections to this server changed
  /// since then, and when. `never` when it cannot.
  virtual double noticed(const std::string& address, double since) = 0;
  /// What it says about its connections, and how often.
  virtual std::map<std::string, int> reports() = 0;

  void start() {
    running_ = load_.callers;
    for (int i = 0; i < load_.callers; ++i)
      asio::co_spawn(context(), call(), [this](const std::exception_ptr& thrown) {
        if (thrown) std::terminate();
        --running_;
      });
  }
  void finish() {
    over_ = true;
    const stopwatch waiting;
    while (running_ > 0) {
      if (waiting.ms() > 15'000) {
        std::fputs("RPCs do not end\n", stderr);
        std::abort();  // they refer to this object
      }
      std::this_thread::sleep_for(1ms);
    }
  }

 protected:
  [[nodiscard]] asio::io_context& context() { return context_.get(); }

 private:
  virtual asio::awaitable<channel_ptr> get() = 0;
  /// The deadline of an RPC over this channel is over.
  virtual void suspect(const channel_ptr&) {}

  // A caller whose RPC has failed waits for a millisecond.
  asio::awaitable<void> call() {
    asio::steady_timer pause(co_await asio::this_coro::executor);
    test::HelloRequest request;
    request.set_name("bench");
    request.set_delay_ms(static_cast<int>(load_.server_takes.count()));
    while (!over_) {
      if (co_await call_once(request)) continue;
      pause.expires_after(1ms);
      co_await pause.async_wait(asio::use_awaitable);
    }
  }

  asio::awaitable<bool> call_once(const test::HelloRequest& request) {
    channel_ptr channel;
    try {
      channel = co_await get();
    } catch (const boost::system::system_error& e) {
      record_.get_failed(e.what());
      co_return false;
    }
    const double begun = record_.now();
    const auto stub = greeter::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + load_.deadline);
    test::HelloReply reply;
    const auto status = co_await unary(*stub, &greeter::Stub::async::SayHello, context, request, reply);
    if (status.ok())
      record_.answered(context.peer(), begun);
    else
      record_.failed(status, begun);
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) suspect(channel);
    co_return status.ok();
  }

  const std::string name_;
  const call_load load_;
  call_record record_;
  std::atomic<bool> over_{false};
  std::atomic<int> running_{0};
  running_context context_;
};

/// A pool.
class pooled_backends final : public subject {
 public:
  /// @param addresses none: those of the options.
  /// @param suspects whether a caller whose deadline is over calls `suspect()`.
  pooled_backends(std::string name, call_load load, const std::vector<std::string>& addresses, pool_options options,
                  bool suspects = false)
      : subject(std::move(name), load), suspects_(suspects), pool_(context(), with(addresses, std::move(options))) {
    events_->attach_many("bench", std::array{event::channel_disconnected, event::channel_connection_failed},
                         [this](const telemetry_event& e) { reported(e); });
    pool_.async_run(asio::detached);
    pool_.async_connected(1, 10s, asio::use_future).get();  // a name's addresses are known then
    pool_.async_connected(pool_.status().expected_size, 10s, asio::use_future).get();
  }
  ~pooled_backends() override {
    events_->detach("bench");
    pool_.stop();
  }
  pooled_backends(const pooled_backends&) = delete;
  pooled_backends& operator=(const pooled_backends&) = delete;

  void set_addresses(const std::vector<std::string>& addresses) override { pool_.set_addresses(addresses); }
  void refresh() override { pool_.refresh(); }

  double noticed(const std::string& address, double since) override {
    const std::lock_guard lock(mutex_);
    const auto& times = reports_of_[address];
    const auto first = std::ranges::find_if(times, [&](double at) { return at >= since; });
    return first == times.end() ? never : *first;
  }
  std::map<std::string, int> reports() override {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

 private:
  pool_options with(const std::vector<std::string>& addresses, pool_options options) {
    options.addresses = addresses;
    options.channel.telemetry = events_;
    options.channel.backoff = retries;
    return options;
  }

  asio::awaitable<channel_ptr> get() override { return pool_.get_channel(); }
  void suspect(const channel_ptr& silent) override {
    if (suspects_) pool_.suspect(silent, "no answer");
  }

  void reported(const telemetry_event& e) {
    const double at = calls().now();
    const bool was_connected = e.name == event::channel_disconnected;
    const std::lock_guard lock(mutex_);
    reports_of_[std::string(e.address)].push_back(at);
    ++reports_[(was_connected ? "disconnected: " : "failed to connect: ") + without_numbers(e.error)];
  }

  const bool suspects_;
  const std::shared_ptr<telemetry> events_ = std::make_shared<telemetry>();
  std::mutex mutex_;
  std::map<std::string, std::vector<double>> reports_of_;
  std::map<std::string, int> reports_;
  pool pool_;
};

/// One gRPC channel over all addresses.
class round_robin_channel final : public subject {
 public:
  round_robin_channel(std::string name, call_load load, const std::vector<std::string>& addresses,
                      grpc::ChannelArguments arguments = {})
      : round_robin_channel(std::move(name), load, target_of(addresses), std::move(arguments)) {}
  round_robin_channel(std::string name, call_load load, const std::string& target,
                      grpc::ChannelArguments arguments = {})
      : subject(std::move(name), load), arguments_(std::move(arguments)) {
    arguments_.SetLoadBalancingPolicyName("round_robin");
    arguments_.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments_.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(retries.min.count()));
    arguments_.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(retries.max.count()));
    make_channel(target);
    if (!channel_.load()->WaitForConnected(std::chrono::system_clock::now() + 10s))
      throw std::runtime_error("round_robin does not connect");
    looks_ = std::jthread([this](const std::stop_token& stop) {
      for (; !stop.stop_requested(); std::this_thread::sleep_for(1ms)) look();
    });
  }

  /// gRPC has no function for that: a new channel is made.
  void set_addresses(const std::vector<std::string>& addresses) override { make_channel(target_of(addresses)); }

  double noticed(const std::string&, double since) override {
    const std::lock_guard lock(mutex_);
    const auto first = std::ranges::find_if(changes_, [&](double at) { return at >= since; });
    return first == changes_.end() ? never : *first;
  }
  std::map<std::string, int> reports() override {
    const std::lock_guard lock(mutex_);
    if (changes_.empty()) return {};
    return {{"left READY", static_cast<int>(changes_.size())}};
  }

 private:
  static std::string target_of(const std::vector<std::string>& addresses) {
    std::string target = "ipv4:";
    for (const auto& address : addresses) target += (target.back() == ':' ? "" : ",") + address;
    return target;
  }

  void make_channel(const std::string& target) {
    channel_.store(grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments_));
  }

  asio::awaitable<channel_ptr> get() override { co_return channel_.load(); }

  void look() {
    const bool was_ready = std::exchange(is_ready_, channel_.load()->GetState(true) == GRPC_CHANNEL_READY);
    if (!was_ready || is_ready_) return;
    const double at = calls().now();
    const std::lock_guard lock(mutex_);
    changes_.push_back(at);
  }

  grpc::ChannelArguments arguments_;
  std::atomic<channel_ptr> channel_;
  std::mutex mutex_;
  std::vector<double> changes_;
  bool is_ready_ = false;
  std::jthread looks_;
};

}  // namespace conn_grpc::bench
