// SPDX-License-Identifier: BSL-1.0
#include "grpc/unmonitored_connection.hpp"

#include "grpc/completion_thread.hpp"

#include <chrono>

namespace conn_grpc::detail {
namespace {

// Longer than gRPC takes from the end of an RPC to the state that follows from it, unless
// the machine is under load. Nothing ends this wait earlier, so it is short.
constexpr std::chrono::milliseconds time_to_notice_any_loss{20};

}  // namespace

void unmonitored_connection::await_loss_of_any(const std::function<void()>& then) {
  const bool exists = count.load(std::memory_order_relaxed) > 0;
  if (!exists || !completion_thread::instance().call_later(time_to_notice_any_loss, then)) then();
}

}  // namespace conn_grpc::detail
