// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/context_registry.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/execution_context.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace conn_grpc::runtime {

/// Where handlers wait, each with a ticket.
class waiting_place {
 public:
  using ticket = std::uint64_t;

  /// Ends the waiting with operation_aborted, if it has not ended. Thread-safe.
  virtual void cancel(ticket which) = 0;

 protected:
  ~waiting_place() = default;
};

/// A handler that waits for something outside of its execution context. It is called once at most; when its context
/// goes first, the handler goes with it, uncalled. Its cancellation, of any type, ends the waiting. Thread-safe.
template <class... Args>
class parked_handler final : public context_dependent {
 public:
  using handler_type = boost::asio::any_completion_handler<void(Args...)>;

  /// Where it waits, for as long as that exists.
  struct stay {
    std::weak_ptr<waiting_place> place;
    waiting_place::ticket ticket;

    void end() const {
      if (const auto here = place.lock()) here->cancel(ticket);
    }
  };

  /// @param handler posts: it may be called by any thread.
  /// @param home where it posts to.
  static std::shared_ptr<parked_handler> make(handler_type handler, boost::asio::execution_context& home, stay where) {
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler); slot.is_connected())
      slot.assign([where](boost::asio::cancellation_type) { where.end(); });
    auto parked = std::make_shared<parked_handler>(std::move(handler), std::move(where));
    parked->registration_.emplace(home, parked);
    return parked;
  }

  parked_handler(handler_type handler, stay where) : handler_(std::move(handler)), stay_(std::move(where)) {}

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
    stay_.end();
  }

 private:
  std::mutex mutex_;
  handler_type handler_;  // empty once called, or gone with its context
  const stay stay_;
  std::optional<context_registration> registration_;
};

}  // namespace conn_grpc::runtime
