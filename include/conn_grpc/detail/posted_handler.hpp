// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/version.hpp>
#include <conn_grpc/detail/completion.hpp>
#include <conn_grpc/detail/config.hpp>

#if BOOST_VERSION >= 108200
#include <boost/asio/associated_immediate_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/dispatch.hpp>
#endif

#include <type_traits>
#include <utility>

namespace conn_grpc::detail {

/// Outstanding work of an executor, as asio::executor_work_guard. That one takes a strand of asio::any_io_executor for
/// an executor of the Networking TS, and does not compile.
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

/// For a handler whose own executor can dispatch, but not post: called by the default executor, it dispatches.
template <class Handler, class Executor>
class dispatched_handler {
 public:
  using allocator_type = asio::associated_allocator_t<Handler>;

  dispatched_handler(Handler handler, work<Executor> work) : work_(std::move(work)), handler_(std::move(handler)) {}

  allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler_); }

  template <class... Args>
  void operator()(Args... args) {
    auto refused =
        try_dispatch(work_.get_executor(), completion<Handler, Args...>(std::move(handler_), std::move(args)...));
    if (refused) (*refused)();  // here, then
  }

 private:
  work<Executor> work_;
  Handler handler_;
};

#if BOOST_VERSION >= 108200
/// A completion that names the executor of its handler.
template <class Handler, class... Args>
struct immediate_completion : completion<Handler, Args...> {
  explicit immediate_completion(completion<Handler, Args...>&& inner)
      : completion<Handler, Args...>(std::move(inner)) {}
};
#endif

/// A handler that may be called by any thread. It posts the user's handler to that one's associated executor, which has
/// outstanding work until then. Made where the handler's type is still known, because asio::any_completion_handler
/// forgets how to post: its executor has neither a context nor blocking.never. When the user brings one, it is posted
/// to the default executor, and dispatched from there.
///
/// When an executor throws, the handler is posted to the fallback.
template <class Handler, class Executor>
class posted_handler {
 public:
  using allocator_type = asio::associated_allocator_t<Handler>;
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  /// @param by_default for a handler that has no executor of its own.
  posted_handler(Handler handler, const Executor& by_default)
      : work_(poster_of(handler, by_default)),
        dispatcher_work_(asio::get_associated_executor(handler, by_default)),
        handler_(std::move(handler)) {}

  allocator_type get_allocator() const noexcept { return asio::get_associated_allocator(handler_); }
  cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  /// The context of the executor that it posts to.
  asio::execution_context& context() const { return work_.context(); }

  /// From inside the initiating function: never calls the handler there, unless its associated immediate executor,
  /// which Asio has since Boost 1.82, says so.
  template <class... Args>
  void complete_now(const fallback& elsewhere, Args... args) && {
#if BOOST_VERSION >= 108200
    const auto immediate = asio::get_associated_immediate_executor(handler_, work_.get_executor());
    using work_type = completion<Handler, Args...>;
    auto refused = work_type(std::move(handler_), std::move(args)...).refused_by([&](work_type&& given) {
      asio::dispatch(immediate, immediate_completion<Handler, Args...>(std::move(given)));
    });
    if (refused) elsewhere.post(*std::move(refused));
#else
    std::move (*this)(elsewhere, std::move(args)...);
#endif
  }

  template <class... Args>
  void operator()(const fallback& elsewhere, Args... args) {
    if constexpr (can_post)
      post(elsewhere, completion<Handler, Args...>(std::move(handler_), std::move(args)...));
    else
      post(elsewhere, completion<dispatched, Args...>(dispatched(std::move(handler_), std::move(dispatcher_work_)),
                                                      std::move(args)...));
  }

 private:
  using own_executor = asio::associated_executor_t<Handler, Executor>;
  using dispatched = dispatched_handler<Handler, own_executor>;
  static constexpr bool can_post = !asio::execution::is_executor<own_executor>::value ||
                                   asio::can_require_v<own_executor, asio::execution::blocking_t::never_t>;
  struct none {
    explicit none(const own_executor&) {}
  };

  static auto poster_of([[maybe_unused]] const Handler& handler, const Executor& by_default) {
    if constexpr (can_post)
      return asio::get_associated_executor(handler, by_default);
    else
      return by_default;
  }

  template <class Completion>
  void post(const fallback& elsewhere, Completion&& posted) {
    if (auto refused = try_post(work_.get_executor(), std::move(posted))) elsewhere.post(*std::move(refused));
  }

  work<std::conditional_t<can_post, own_executor, Executor>> work_;
  [[no_unique_address]] std::conditional_t<can_post, none, work<own_executor>> dispatcher_work_;
  Handler handler_;
};

}  // namespace conn_grpc::detail

#if BOOST_VERSION >= 108200
template <template <class, class> class Associator, class Handler, class... Args, class Default>
struct boost::asio::associator<Associator, conn_grpc::detail::immediate_completion<Handler, Args...>, Default>
    : Associator<Handler, Default> {
  static auto get(const conn_grpc::detail::immediate_completion<Handler, Args...>& given) noexcept {
    return Associator<Handler, Default>::get(given.handler());
  }
  static auto get(const conn_grpc::detail::immediate_completion<Handler, Args...>& given,
                  const Default& by_default) noexcept {
    return Associator<Handler, Default>::get(given.handler(), by_default);
  }
};
#endif
