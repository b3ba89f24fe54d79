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

#include <memory>
#include <mutex>
#include <optional>
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

  /// Has `handler` called with the strand, on the strand, later. False, and nothing done, once it is closed.
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

  void context_gone() noexcept override {
    const std::lock_guard lock(mutex_);  // held while they are destroyed: the context may be waiting to go
    strand_.reset();
    executor_ = {};
  }

 private:
  mutable std::mutex mutex_;
  boost::asio::any_io_executor executor_;
  std::optional<strand_type> strand_;
  std::optional<context_registration> registration_;
};

}  // namespace conn_grpc::runtime
