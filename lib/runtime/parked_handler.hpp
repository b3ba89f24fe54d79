// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/bound_operation.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/detail/completion.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace conn_grpc::runtime {

/// A place at which handlers wait, each with a ticket.
class waiting_place : public detail::fallback {
 public:
  using ticket = std::uint64_t;

  /// Completes the waiter with operation_aborted, if it still waits. Thread-safe.
  virtual void cancel(ticket which) = 0;

 protected:
  ~waiting_place() = default;
};

/// A handler that waits for something outside of its execution context. It is called at
/// most once. When its context is destroyed first, it is destroyed uncalled. Its
/// cancellation, of any type, ends the waiting. Thread-safe.
template <class... Args>
class parked_handler final : public bound_operation<Args...> {
 public:
  using typename bound_operation<Args...>::handler_type;

  /// Where the handler waits. The place may be destroyed before the handler.
  struct wait_registration {
    std::weak_ptr<waiting_place> place;
    waiting_place::ticket ticket = 0;
  };

  /// @param handler posts itself, so any thread may call it.
  /// @param handler_context the context that the handler posts to.
  static std::shared_ptr<parked_handler> make(handler_type handler, boost::asio::execution_context& handler_context,
                                              wait_registration where) {
    const auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto parked = std::make_shared<parked_handler>(std::move(handler), std::move(where));
    parked->bind(slot, handler_context, parked);
    return parked;
  }

  parked_handler(handler_type handler, wait_registration where)
      : bound_operation<Args...>(std::move(handler)), wait_(std::move(where)) {}

 private:
  void cancel() noexcept override {
    if (const auto place = wait_.place.lock()) place->cancel(wait_.ticket);
  }

  void post(detail::refused_work work) const noexcept override {
    if (const auto place = wait_.place.lock())
      place->post(std::move(work));
    else
      post_to_system_executor(detail::completion(std::move(work)));
  }

  const wait_registration wait_;
};

}  // namespace conn_grpc::runtime
