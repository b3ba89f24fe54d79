// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

namespace conn_grpc::test {

/// What a `user_executor` does besides posting. All but `refused` is set before threads
/// use it.
struct user_script {
  std::function<void()> on_execute;  // before it posts
  std::function<void()> on_copy;
  std::atomic<int> refused = 0;  // this many calls of execute() throw
  bool keeps_refused = false;
  bool drops = false;         // destroys the function that it is given, uncalled
  bool runs_at_once = false;  // runs the context, on another thread, before execute() returns

  bool refuses() {
    auto left = refused.load();
    while (left > 0 && !refused.compare_exchange_weak(left, left - 1)) {
    }
    return left > 0;
  }
};

/// An executor as users write them. It shares the ownership of its context, and may be
/// the last owner.
class user_executor {
 public:
  user_executor(std::shared_ptr<boost::asio::io_context> context, std::shared_ptr<user_script> script)
      : context_(std::move(context)), script_(std::move(script)) {}
  user_executor(const user_executor& other) noexcept : context_(other.context_), script_(other.script_) {
    if (script_->on_copy) script_->on_copy();
  }
  user_executor(user_executor&&) noexcept = default;
  user_executor& operator=(const user_executor&) = default;
  ~user_executor() = default;

  template <class Function>
  void execute(Function function) const {
    const auto script = script_;
    const auto& context = *context_;
    if (script->on_execute) script->on_execute();
    if (script->drops) return;
    const bool refuses = script->refuses();
    if (refuses && !script->keeps_refused) throw std::runtime_error("queue is full");
    // In a lambda, because post() would use the executor that is associated with the
    // function: this one.
    boost::asio::post(*context_, [called = std::move(function)]() mutable { std::move(called)(); });
    if (refuses) throw std::runtime_error("no thread to wake");
    if (script->runs_at_once) std::thread([&context] { const_cast<boost::asio::io_context&>(context).poll(); }).join();
  }

  [[nodiscard]] boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
    return *context_;
  }
  // Not static: for an executor that has the property statically, Boost 1.83 takes a
  // reference that does not bind.
  [[nodiscard]] boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
    return boost::asio::execution::blocking.never;
  }
  [[nodiscard]] user_executor require(boost::asio::execution::blocking_t::never_t) const { return *this; }
  bool operator==(const user_executor& other) const noexcept {
    return context_ == other.context_ && script_ == other.script_;
  }

 private:
  std::shared_ptr<boost::asio::io_context> context_;
  std::shared_ptr<user_script> script_;
};

}  // namespace conn_grpc::test
