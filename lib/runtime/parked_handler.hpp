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

/// An object at which handlers wait, each with a ticket.
class waiting_place : public detail::fallback {
 public:
  using ticket = std::uint64_t;

  /// Ends the waiting with operation_aborted, if it has not ended. Thread-safe.
  virtual void cancel(ticket which) = 0;

 protected:
  ~waiting_place() = default;
};

/// A handler that waits for something outside of its execution context. It is called once at most. When its context
/// is destroyed first, the handler is destroyed with it, uncalled. Its cancellation, of any type, ends the waiting.
/// Thread-safe.
template <class... Args>
class parked_handler final : public bound_operation<Args...> {
 public:
  using typename bound_operation<Args...>::handler_type;

  /// The place where it waits, for as long as that exists.
  struct wait_registration {
    std::weak_ptr<waiting_place> place;
    waiting_place::ticket ticket = 0;
  };

  /// @param handler posts: it may be called by any thread.
  /// @param handler_context where it posts to.
  static std::shared_ptr<parked_handler> make(handler_type handler, boost::asio::execution_context& handler_context,
                                              wait_registration where) {
    const auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto parked = std::make_shared<parked_handler>(std::move(handler), std::move(where));
    parked->bind(slot, handler_context, parked);
    return parked;
  }

  parked_handler(handler_type handler, wait_registration where)
      : bound_operation<Args...>(std::move(handler)), registration_of_wait_(std::move(where)) {}

 private:
  void cancel() noexcept override {
    if (const auto place = registration_of_wait_.place.lock()) place->cancel(registration_of_wait_.ticket);
  }

  void post(detail::refused_work work) const noexcept override {
    if (const auto place = registration_of_wait_.place.lock())
      place->post(std::move(work));
    else
      post_to_system_executor(detail::completion(std::move(work)));
  }

  const wait_registration registration_of_wait_;
};

}  // namespace conn_grpc::runtime
