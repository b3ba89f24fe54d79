// SPDX-License-Identifier: BSL-1.0
#pragma once

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
#include <conn_grpc/detail/boxed_handler.hpp>
#include <conn_grpc/detail/completion.hpp>
#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/dispatch_permission.hpp>

#if BOOST_VERSION >= 108200
#include <boost/asio/associated_immediate_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/dispatch.hpp>
#endif

#include <memory>
#include <type_traits>
#include <utility>

namespace conn_grpc::detail {

/// Outstanding work of an executor, until it is destroyed. Like
/// asio::executor_work_guard, which does not compile for a strand of
/// asio::any_io_executor: it takes such a strand for an executor of the Networking TS.
template <class Executor, bool = asio::execution::is_executor<Executor>::value>
class work {
 public:
  explicit work(const Executor& executor) : executor_(track(executor)) {}
  [[nodiscard]] const auto& get_executor() const noexcept { return executor_; }
  [[nodiscard]] asio::execution_context& context() const { return asio::query(executor_, asio::execution::context); }

 private:
  static auto track(const Executor& executor) {
    return asio::prefer(executor, asio::execution::outstanding_work_t::tracked);
  }

  decltype(track(std::declval<const Executor&>())) executor_;
};

template <class Executor>
class work<Executor, false> : public asio::executor_work_guard<Executor> {
 public:
  using asio::executor_work_guard<Executor>::executor_work_guard;
  [[nodiscard]] asio::execution_context& context() const { return this->get_executor().context(); }
};

/// The executor to which the handler is posted: its own one. If that can dispatch but not
/// post, it is the default executor.
template <class Handler, class Executor>
struct poster_of {
  using own_executor = asio::associated_executor_t<Handler, Executor>;
  static constexpr bool is_own = !asio::execution::is_executor<own_executor>::value ||
                                 asio::can_require_v<own_executor, asio::execution::blocking_t::never_t>;
  using type = std::conditional_t<is_own, own_executor, Executor>;

  static type get([[maybe_unused]] const Handler& handler, const Executor& by_default) {
    if constexpr (is_own)
      return asio::get_associated_executor(handler, by_default);
    else
      return by_default;
  }
};

/// For a handler whose own executor can dispatch but not post. The default executor calls
/// this object, which dispatches the handler to its own executor.
template <class Handler, class Executor>
class dispatched_handler {
 public:
  dispatched_handler(Handler&& handler, work<Executor>&& work) : work_(std::move(work)), handler_(std::move(handler)) {}

  template <class... Args>
  void operator()(Args... args) {
    completion<Handler, Args...> dispatched(std::move(handler_), std::move(args)...);
    if (!try_dispatch(work_.get_executor(), dispatched)) dispatched();  // the executor threw: call it here
  }

 private:
  work<Executor> work_;
  Handler handler_;
};

/// A handler that any thread may call. It posts the original handler to that handler's
/// associated executor, which has outstanding work until then. Inside of an
/// event_engine_scope it dispatches the handler where Asio allows that. If an executor throws, the
/// handler is posted to the fallback.
///
/// It must be made where the type of the original handler is known.
/// asio::any_completion_handler cannot be posted: its executor has neither a context nor
/// blocking.never. If the user passes such a handler, it is posted to the default
/// executor, and dispatched from there.
template <class Handler, class Executor>
class posted_handler {
 public:
  using allocator_type = std::allocator<void>;  // the default of asio::any_completion_handler costs more
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  /// @param by_default The executor of a handler that has none of its own.
  posted_handler(Handler handler, const Executor& by_default)
      : work_(poster::get(handler, by_default)),
        dispatcher_work_(asio::get_associated_executor(handler, by_default)),
        handler_(std::move(handler)) {}

  [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
  [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  /// Returns the context of the executor that it posts to.
  [[nodiscard]] asio::execution_context& context() const { return work_.context(); }

  template <class... Args>
  void operator()(const fallback& elsewhere, Args&&... args) {
    if constexpr (poster::is_own)
      post(elsewhere, std::move(handler_), std::forward<Args>(args)...);
    else
      post(elsewhere, dispatched(std::move(handler_), std::move(dispatcher_work_)), std::forward<Args>(args)...);
  }

 private:
  using poster = poster_of<Handler, Executor>;
  using own_executor = typename poster::own_executor;
  using dispatched = dispatched_handler<kept_handler<Handler>, own_executor>;
  struct none {
    explicit none(const own_executor&) {}
  };

  template <class Posted, class... Args>
  void post(const fallback& elsewhere, Posted&& handler, Args&&... args) {
    completion<Posted, std::decay_t<Args>...> posted(std::forward<Posted>(handler), std::forward<Args>(args)...);
#if defined(CONN_GRPC_HAS_EVENT_ENGINE)
    if (may_dispatch_in(context())) {
      const auto executor = work_.get_executor();  // the handler may destroy this object
      if (!try_dispatch(executor, posted)) elsewhere.post(std::move(posted));
      return;
    }
#endif
    if (!try_post(work_.get_executor(), posted)) elsewhere.post(std::move(posted));
  }

  work<typename poster::type> work_;
  [[no_unique_address]] std::conditional_t<poster::is_own, none, work<own_executor>> dispatcher_work_;
  kept_handler<Handler> handler_;
};

#if BOOST_VERSION >= 108200
/// A completion that names the executor of its handler.
template <class Handler, class... Args>
struct immediate_completion : completion<Handler, Args...> {
  explicit immediate_completion(completion<Handler, Args...>&& inner)
      : completion<Handler, Args...>(std::move(inner)) {}
};
#endif

/// Completes an operation inside its initiating function. It does not call the handler
/// there, unless the handler's associated immediate executor, which Asio has since Boost
/// 1.82, allows that.
/// @param by_default The executor of a handler that has none of its own.
template <class Handler, class Executor, class... Args>
void complete_now(Handler handler, const Executor& by_default, const fallback& elsewhere, Args... args) {
  using poster = poster_of<Handler, Executor>;
  using completion_type = completion<kept_handler<Handler>, Args...>;
#if BOOST_VERSION >= 108200
  const auto immediate = asio::get_associated_immediate_executor(handler, poster::get(handler, by_default));
  completion_type completed(kept_handler<Handler>(std::move(handler)), std::move(args)...);
  const bool accepted = completed.hand_over([&](completion_type&& given) {
    asio::dispatch(immediate, immediate_completion<kept_handler<Handler>, Args...>(std::move(given)));
  });
  if (!accepted) elsewhere.post(std::move(completed));
#else
  if constexpr (poster::is_own) {  // a posted function is outstanding work by itself
    const auto executor = poster::get(handler, by_default);
    completion_type completed(kept_handler<Handler>(std::move(handler)), std::move(args)...);
    if (!try_post(executor, completed)) elsewhere.post(std::move(completed));
  } else {
    posted_handler(std::move(handler), by_default)(elsewhere, std::move(args)...);
  }
#endif
}

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
