// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/append.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/version.hpp>
#include <conn_grpc/detail/config.hpp>

#if BOOST_VERSION >= 108200
#include <boost/asio/associated_immediate_executor.hpp>
#include <boost/asio/dispatch.hpp>
#endif

#include <tuple>
#include <type_traits>
#include <utility>

namespace conn_grpc::detail {

/// Something to do for an executor, until it is destroyed. What asio::executor_work_guard is, but that one takes a
/// strand of asio::any_io_executor for an executor of the Networking TS, and does not compile.
template <class Executor, bool = asio::execution::is_executor<Executor>::value>
class work {
 public:
  explicit work(const Executor& executor) : executor_(track(executor)) {}
  const auto& get_executor() const noexcept { return executor_; }
  asio::execution_context& context() const { return asio::query(executor_, asio::execution::context); }

 private:
  static auto track(const Executor& executor) {
    return asio::prefer(executor, asio::execution::outstanding_work.tracked);
  }

  decltype(track(std::declval<const Executor&>())) executor_;
};

template <class Executor>
class work<Executor, false> : public asio::executor_work_guard<Executor> {
 public:
  using asio::executor_work_guard<Executor>::executor_work_guard;
  asio::execution_context& context() const { return this->get_executor().context(); }
};

/// A handler with its arguments, for where it is to be called: unlike what asio::append makes it names no executor, so
/// that Asio does not dispatch to one that it is on already.
template <class Handler, class... Args>
class completion {
 public:
  using allocator_type = asio::associated_allocator_t<Handler>;

  explicit completion(Handler handler, Args... args) : handler_(std::move(handler)), args_(std::move(args)...) {}

  allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler_); }

  void operator()() { std::apply(std::move(handler_), std::move(args_)); }

 private:
  Handler handler_;
  std::tuple<Args...> args_;
};

/// A handler that may be called by any thread: it posts the one it was made of to that one's associated executor, which
/// until then has work to do. Made where the handler's type is still known, because asio::any_completion_handler
/// forgets how to post: its executor has neither a context nor blocking.never. When the user brings one, it is posted
/// to the fallback, and dispatched from there.
template <class Handler, class Executor>
class posted_handler {
 public:
  using allocator_type = asio::associated_allocator_t<Handler>;
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  /// @param fallback for a handler that has no executor of its own.
  posted_handler(Handler handler, const Executor& fallback)
      : work_(poster_of(handler, fallback)),
        dispatcher_work_(asio::get_associated_executor(handler, fallback)),
        handler_(std::move(handler)) {}

  allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler_); }
  cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  /// Of the executor that it posts to.
  asio::execution_context& context() const { return work_.context(); }

  /// From inside the initiating function: never calls the handler there, unless its associated immediate executor,
  /// which Asio has since Boost 1.82, says so.
  template <class... Args>
  void complete_now(Args... args) && {
#if BOOST_VERSION >= 108200
    const auto immediate = asio::get_associated_immediate_executor(handler_, work_.get_executor());
    asio::dispatch(immediate, asio::append(std::move(handler_), std::move(args)...));
#else
    std::move (*this)(std::move(args)...);
#endif
  }

  template <class... Args>
  void operator()(Args... args) {
    if constexpr (can_post)
      asio::post(work_.get_executor(), completion<Handler, Args...>(std::move(handler_), std::move(args)...));
    else
      asio::post(work_.get_executor(), asio::append(std::move(handler_), std::move(args)...));
  }

 private:
  using own_executor = asio::associated_executor_t<Handler, Executor>;
  static constexpr bool can_post = !asio::execution::is_executor<own_executor>::value ||
                                   asio::can_require_v<own_executor, asio::execution::blocking_t::never_t>;
  struct none {
    explicit none(const own_executor&) {}
  };

  static auto poster_of([[maybe_unused]] const Handler& handler, const Executor& fallback) {
    if constexpr (can_post)
      return asio::get_associated_executor(handler, fallback);
    else
      return fallback;
  }

  work<std::conditional_t<can_post, own_executor, Executor>> work_;
  [[no_unique_address]] std::conditional_t<can_post, none, work<own_executor>> dispatcher_work_;
  Handler handler_;
};

}  // namespace conn_grpc::detail
