// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/strand.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>

#include <utility>

namespace conn_grpc::runtime {

/// A condition variable for one coroutine. The coroutine waits in a loop for a state that
/// it checks itself. `notify()` wakes it to check again. All calls are on the coroutine's
/// executor, which runs one function at a time. Asio's objects live in the frame of the
/// waiting coroutine, and are destroyed with it.
template <class Clock, class Executor = strand_type>
class condition {
 public:
  /// Returns after the next `notify()`, or at the deadline.
  boost::asio::awaitable<void, Executor> wait_until(typename Clock::time_point deadline) {
    timer wake_up(co_await boost::asio::this_coro::executor, deadline);
    const waiting here(waiting_, wake_up);
    co_await wake_up.async_wait(boost::asio::as_tuple(boost::asio::deferred));
  }

  boost::asio::awaitable<void, Executor> wait() { return wait_until((Clock::time_point::max)()); }

  void notify() {
    if (waiting_) waiting_->cancel();
  }

 private:
  using timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;

  struct waiting {
    waiting(timer*& place, timer& wake_up) : place_(place) { place_ = &wake_up; }
    ~waiting() { place_ = nullptr; }
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;
    timer*& place_;
  };

  timer* waiting_ = nullptr;
};

}  // namespace conn_grpc::runtime
