// SPDX-License-Identifier: BSL-1.0
// The way onto a strand for those outside of it: user threads that stop a pool, gRPC's thread that saw a state change.
// It closes when the execution context is destroyed. Later posts are dropped, because nothing is left to run them.
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

/// All functions are thread-safe, and hold no mutex while they call the executor. The owner of what the strand protects
/// must `close()` the gate in its destructor: other owners of the gate may outlive the context, and must not find a
/// strand in it then.
class closable_strand final : public shutdown_listener {
 public:
  static std::shared_ptr<closable_strand> make(const boost::asio::any_io_executor& executor) {
    auto gate = std::make_shared<closable_strand>(executor);
    gate->registration_.emplace(boost::asio::query(executor, boost::asio::execution::context), gate);
    return gate;
  }

  explicit closable_strand(const boost::asio::any_io_executor& executor)
      : asio_(executor, boost::asio::make_strand(executor)) {}

  /// The executor it was made with; empty once it is closed.
  [[nodiscard]] boost::asio::any_io_executor executor() const {
    const asio_user in(asio_);
    return in ? in->executor : boost::asio::any_io_executor();
  }

  /// Has `handler` called with the strand, on the strand, later. False, and nothing done, once it is closed.
  template <class Handler>
  bool post(Handler&& handler) {
    const asio_user in(asio_);
    if (!in) return false;
    boost::asio::post(in->strand, [strand = in->strand, called = std::forward<Handler>(handler)]() mutable {
      std::move(called)(strand);
    });
    return true;
  }

  /// Posts to the executor, beside the strand. False when the executor throws, or when it is closed: then `work` is
  /// what it was before.
  template <class Work>
  [[nodiscard]] bool try_post(Work& work) noexcept {
    const asio_user in(asio_);
    return in && detail::try_post(in->executor, work);
  }

  /// Returns when nothing of Asio's is left, also when another thread is destroying it: the owner and the context may
  /// go at the same time. From within itself it returns at once: the executor may be the last owner of its context.
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
