// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/context_registry.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/execution_context.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace conn_grpc::runtime {

/// A handler that waits for something outside of its execution context. It is called once at most; when its context
/// goes first, the handler goes with it, uncalled. Thread-safe.
template <class... Args>
class parked_handler final : public context_dependent {
 public:
  using handler_type = boost::asio::any_completion_handler<void(Args...)>;

  /// @param handler posts: it may be called by any thread.
  /// @param home where it posts to.
  /// @param gone called when the handler has been destroyed uncalled.
  static std::shared_ptr<parked_handler> make(handler_type handler, boost::asio::execution_context& home,
                                              std::function<void()> gone) {
    auto parked = std::make_shared<parked_handler>(std::move(handler), std::move(gone));
    parked->registration_.emplace(home, parked);
    return parked;
  }

  parked_handler(handler_type handler, std::function<void()> gone)
      : handler_(std::move(handler)), gone_(std::move(gone)) {}

  void complete(Args... args) {
    {
      // Held while it posts, so that its context, if it is going, goes after that.
      const std::lock_guard lock(mutex_);
      handler_type handler(std::move(handler_));  // not by assignment: Asio 1.26's recurses without end
      if (!handler) return;
      std::move(handler)(std::move(args)...);
    }
    registration_.reset();
  }

  void context_gone() noexcept override {
    {
      std::unique_lock lock(mutex_);
      const handler_type handler(std::move(handler_));
      lock.unlock();  // what goes with it is the user's, and may reach back
      if (!handler) return;
    }
    gone_();
  }

 private:
  std::mutex mutex_;
  handler_type handler_;  // empty once called, or gone with its context
  const std::function<void()> gone_;
  std::optional<context_registration> registration_;
};

}  // namespace conn_grpc::runtime
