// SPDX-License-Identifier: BSL-1.0
// Lets other threads post to a strand: a user's thread that stops a pool, or gRPC's
// thread that reports a state. It closes when the execution context is destroyed. Later
// posts are dropped, because nothing is left to run them.
#pragma once

#include "runtime/closable.hpp"
#include "runtime/shutdown_registry.hpp"
#include "runtime/strand.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <conn_grpc/detail/completion.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace conn_grpc::runtime {

/// All functions are thread-safe, and hold no mutex while they call the executor. The
/// owner of what the strand protects must `close()` this object in its destructor. Other
/// owners may outlive the context, and must not find a strand in it then.
class closable_strand final : public shutdown_listener {
 public:
  static std::shared_ptr<closable_strand> make(const boost::asio::any_io_executor& executor) {
    auto shared = std::make_shared<closable_strand>(executor);
    shared->registration_.emplace(boost::asio::query(executor, boost::asio::execution::context), shared);
    return shared;
  }

  explicit closable_strand(const boost::asio::any_io_executor& executor)
      : asio_(executor, boost::asio::make_strand(executor)) {}

  /// The executor it was made with. Empty once it is closed.
  [[nodiscard]] boost::asio::any_io_executor executor() const {
    const asio_user in(asio_);
    return in ? in->executor : boost::asio::any_io_executor();
  }

  /// Posts a call of `handler` to the strand, with the strand as its argument. Returns
  /// false, and does nothing, once it is closed.
  template <class Handler>
  bool post(Handler&& handler) {
    const asio_user in(asio_);
    if (!in) return false;
    boost::asio::post(in->strand, [strand = in->strand, called = std::forward<Handler>(handler)]() mutable {
      std::move(called)(strand);
    });
    return true;
  }

  /// Posts to the executor, not to the strand. Returns false when the executor throws, or
  /// once it is closed. Then `work` is unchanged.
  template <class Work>
  [[nodiscard]] bool try_post(Work& work) noexcept {
    const asio_user in(asio_);
    return in && detail::try_post(in->executor, work);
  }

  /// Returns when none of Asio's objects is left here, also when another thread is
  /// destroying them: the owner and the context may be destroyed at the same time. A
  /// nested call returns at once, because to destroy the executor may destroy its
  /// context.
  void close() noexcept { asio_.close(); }
  void context_gone() noexcept override { close(); }

 private:
  struct asio_side {
    boost::asio::any_io_executor executor;  // destroyed last: it may own the context
    strand_type strand;
  };
  using asio_user = closable<asio_side>::user;

  mutable closable<asio_side> asio_;
  std::optional<shutdown_registration> registration_;
};

}  // namespace conn_grpc::runtime
