// SPDX-License-Identifier: BSL-1.0
// A handler's associated allocator may be bound to a thread, or to the handler's strand.
// But operations end on other threads: gRPC's, or the pool's strand. So nothing that is
// made, moved or freed there uses that allocator. Only the handler itself is in its
// memory, from the initiating function until the handler's executor calls it.
#pragma once

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associator.hpp>
#include <conn_grpc/detail/config.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace conn_grpc::detail {

/// A handler in memory of its associated allocator. Making it allocates. Moving it does
/// not. Calling it frees the memory first, and then calls the handler. A handler that is
/// destroyed without a call frees its memory where it is destroyed.
template <class Handler>
class boxed_handler {
 public:
  explicit boxed_handler(Handler handler) : boxed_(box(std::move(handler))) {}
  boxed_handler(boxed_handler&&) noexcept = default;
  boxed_handler(const boxed_handler& other)
    requires std::copy_constructible<Handler>  // for executors that store a std::function
      : boxed_handler(Handler(other.handler())) {}
  boxed_handler& operator=(const boxed_handler&) = delete;
  boxed_handler& operator=(boxed_handler&&) = delete;
  ~boxed_handler() = default;

  [[nodiscard]] const Handler& handler() const noexcept { return *boxed_; }

  template <class... Args>
  void operator()(Args&&... args) && {
    unbox(boxed_.release())(std::forward<Args>(args)...);
  }

 private:
  using allocator_type =
      typename std::allocator_traits<asio::associated_allocator_t<Handler>>::template rebind_alloc<Handler>;
  using allocator_traits = std::allocator_traits<allocator_type>;

  struct destroy_uncalled {
    void operator()(Handler* boxed) const { (void)unbox(boxed); }
  };

  static Handler* box(Handler&& handler) {
    allocator_type allocator(asio::get_associated_allocator(handler));
    return std::construct_at(allocator_traits::allocate(allocator, 1), std::move(handler));
  }

  // Moves the handler out before its memory is freed, because it may own what the
  // allocator needs.
  static Handler unbox(Handler* boxed) {
    Handler handler(std::move(*boxed));
    std::destroy_at(boxed);
    allocator_type allocator(asio::get_associated_allocator(handler));
    allocator_traits::deallocate(allocator, boxed, 1);
    return handler;
  }

  std::unique_ptr<Handler, destroy_uncalled> boxed_;
};

template <class Allocator>
constexpr bool is_std_allocator = false;
template <class T>
constexpr bool is_std_allocator<std::allocator<T>> = true;

/// How an operation keeps its handler: unboxed if any thread may use its allocator, and
/// boxed otherwise.
template <class Handler>
using kept_handler =
    std::conditional_t<is_std_allocator<asio::associated_allocator_t<Handler>>, Handler, boxed_handler<Handler>>;

}  // namespace conn_grpc::detail

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, conn_grpc::detail::boxed_handler<Handler>, Default>
    : Associator<Handler, Default> {
  static auto get(const conn_grpc::detail::boxed_handler<Handler>& boxed) noexcept {
    return Associator<Handler, Default>::get(boxed.handler());
  }
  static auto get(const conn_grpc::detail::boxed_handler<Handler>& boxed, const Default& by_default) noexcept {
    return Associator<Handler, Default>::get(boxed.handler(), by_default);
  }
};
