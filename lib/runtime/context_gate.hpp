// SPDX-License-Identifier: BSL-1.0
// The way onto a strand for those outside of it: user threads that stop a pool, gRPC's thread that saw a state change.
// It closes when the execution context is destroyed; whatever comes later is dropped, because nothing is left to run
// it.
#pragma once

#include "runtime/context_registry.hpp"
#include "runtime/strand.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace conn_grpc::runtime {

/// All functions are thread-safe. Whoever owns what the strand protects must `close()` the gate when it goes: others,
/// who may outlive the context, hold on to the gate, and must not find a strand in it then.
class context_gate final : public context_dependent {
 public:
  static std::shared_ptr<context_gate> make(const boost::asio::any_io_executor& executor) {
    auto gate = std::make_shared<context_gate>(executor);
    gate->registration_.emplace(boost::asio::query(executor, boost::asio::execution::context), gate);
    return gate;
  }

  explicit context_gate(const boost::asio::any_io_executor& executor)
      : executor_(executor), strand_(boost::asio::make_strand(executor)) {}

  /// The executor it was made with; empty once it is closed.
  [[nodiscard]] boost::asio::any_io_executor executor() const {
    const std::lock_guard lock(mutex_);
    return executor_;
  }

  /// Has `handler` called with the strand, on the strand, later. False, and nothing done, once it is closed. When it
  /// throws, the handler is destroyed in here, where it must not reach back.
  template <class Handler>
  bool post(Handler&& handler) {
    const std::lock_guard lock(mutex_);
    if (!strand_) return false;
    boost::asio::post(*strand_, [strand = *strand_, called = std::forward<Handler>(handler)]() mutable {
      std::move(called)(strand);
    });
    return true;
  }

  void close() noexcept {
    context_gone();
    registration_.reset();
  }

  /// Returns when nothing of Asio's is left, also when another thread is letting go of it: the owner and the context
  /// may go at the same time. From within itself it returns at once: the executor may be the last owner of its context.
  void context_gone() noexcept override {
    std::unique_lock lock(mutex_);
    if (strand_) {
      std::optional<strand_type> strand = std::exchange(strand_, std::nullopt);
      boost::asio::any_io_executor executor = std::exchange(executor_, {});
      closing_ = std::this_thread::get_id();
      lock.unlock();
      strand.reset();
      executor = {};
      lock.lock();
      closing_ = {};
      closed_.notify_all();
    } else if (closing_ != std::this_thread::get_id()) {
      closed_.wait(lock, [this] { return closing_ == std::thread::id(); });
    }
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable closed_;
  std::thread::id closing_;  // who is
  boost::asio::any_io_executor executor_;
  std::optional<strand_type> strand_;
  std::optional<context_registration> registration_;
};

}  // namespace conn_grpc::runtime
