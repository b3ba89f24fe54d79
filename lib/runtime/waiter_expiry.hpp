// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_picker.hpp"
#include "runtime/condition.hpp"
#include "runtime/strand.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>

namespace conn_grpc::runtime {

/// Completes waiters at their deadlines. On the strand.
template <class Clock>
class waiter_expiry {
 public:
  explicit waiter_expiry(channel_picker<Clock>& picker) : picker_(picker) {}

  strand_awaitable<> run() {
    while (!stopping_) {
      const auto now = Clock::now();
      const auto next = picker_.expire(now);
      if (next <= now)
        co_await boost::asio::post(boost::asio::deferred);  // other handlers of the context run first
      else
        co_await deadline_.wait_until(next);
    }
  }

  /// A waiter with the earliest deadline has joined.
  void recheck() { deadline_.notify(); }

  void stop() {
    stopping_ = true;
    deadline_.notify();
  }

 private:
  channel_picker<Clock>& picker_;
  condition<Clock> deadline_;  // the earliest deadline of the waiters
  bool stopping_ = false;
};

}  // namespace conn_grpc::runtime
