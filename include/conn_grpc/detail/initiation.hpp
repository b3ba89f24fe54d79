// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/detail/config.hpp>

#include <concepts>
#include <memory>
#include <utility>

namespace conn_grpc::detail {

class pool_impl;

/// Returns the executor to which a handler without an executor is posted. It is the
/// executor that the owner was given. Once the execution context of that has been
/// destroyed, it is the system executor.
[[nodiscard]] CONN_GRPC_API asio::any_io_executor completion_executor(const pool_impl& started);

/// The function object that `asio::async_initiate` calls with the handler, for each
/// asynchronous operation of the library. It has the executor that asio::cancel_after,
/// asio::cancel_at and partial tokens look for. A lambda has none.
///
/// @tparam Target The object of the operation, with its `get_executor()`. Copyable.
/// @tparam Begin Called with the handler and the target. Copyable.
template <class Target, class Begin>
class initiation {
 public:
  using executor_type = typename Target::executor_type;

  initiation(Target target, Begin begin) : target_(std::move(target)), begin_(std::move(begin)) {}

  [[nodiscard]] executor_type get_executor() const noexcept { return target_.get_executor(); }

  template <class Handler>
  void operator()(Handler handler) const& {
    run(std::move(handler), target_, begin_);
  }
  template <class Handler>
  void operator()(Handler handler) && {
    run(std::move(handler), std::move(target_), std::move(begin_));
  }

 private:
  // By value: the initiation may be destroyed as soon as another thread completes the
  // operation.
  template <class Handler>
  static void run(Handler handler, Target target, Begin begin) {  // NOLINT(performance-unnecessary-value-param)
    begin(std::move(handler), target);
  }

  Target target_;
  Begin begin_;
};

/// The target of operations of a pool or channel.
struct pool_target {
  using executor_type = asio::any_io_executor;
  std::shared_ptr<pool_impl> pool;

  [[nodiscard]] executor_type get_executor() const noexcept { return completion_executor(*pool); }
};

/// A target that is only the executor to which handlers are posted.
template <class Executor>
struct executor_target {
  using executor_type = Executor;
  Executor executor;

  [[nodiscard]] executor_type get_executor() const noexcept { return executor; }
};

/// A parameter that is an executor, or an execution context, which stands for its
/// executor.
class executor_or_context {
 public:
  template <std::convertible_to<asio::any_io_executor> Executor>
  executor_or_context(const Executor& executor) : executor_(executor) {}
  template <std::derived_from<asio::execution_context> Context>
  executor_or_context(Context& context) : executor_(context.get_executor()) {}

  [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }

 private:
  asio::any_io_executor executor_;
};

}  // namespace conn_grpc::detail
