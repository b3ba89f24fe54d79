// SPDX-License-Identifier: BSL-1.0
// An execution context may be destroyed while objects that use it live on: a pool whose
// io_context was destroyed first, or an RPC in flight. From then on Asio's own objects
// must not be touched, and not even destroyed: a strand's destructor locks a mutex of its
// service. So an object that may outlive its context registers here. It is notified
// before, and releases Asio's objects.
#pragma once

#include <boost/asio/execution_context.hpp>
#include <boost/intrusive/list.hpp>

#include <memory>
#include <mutex>

namespace conn_grpc::runtime {

class shutdown_listener {
 public:
  /// The context is about to be destroyed. `context_gone()` follows once all dependents
  /// have been notified.
  virtual void context_going() noexcept {}

  /// Releases all of Asio's objects. The context is being destroyed, and its services
  /// still exist. The thread that destroys the context calls this. Nothing runs in that
  /// context any more, but other contexts and gRPC do.
  virtual void context_gone() noexcept = 0;

 protected:
  shutdown_listener() = default;
  shutdown_listener(const shutdown_listener&) = default;
  shutdown_listener& operator=(const shutdown_listener&) = default;
  ~shutdown_listener() = default;
};

/// The dependents of one context. Thread-safe. It exists as long as its context or any
/// registration, whichever is longer.
///
/// A dependent must destroy all objects of Asio's, and of the user's, while the dependent
/// still has an owner. Then a dependent that the registry can no longer notify has
/// nothing left that could outlive the context. The registry holds no mutex while it
/// notifies.
class shutdown_registry {
 public:
  static std::shared_ptr<shutdown_registry> of(boost::asio::execution_context& context);

 private:
  friend class shutdown_registration;
  template <class T>
  friend class context_service;

  struct entry : boost::intrusive::list_base_hook<> {
    std::weak_ptr<shutdown_listener> dependent;
  };

  void context_shutdown() noexcept;

  std::mutex mutex_;
  boost::intrusive::list<entry, boost::intrusive::constant_time_size<false>> dependents_;
  bool gone_ = false;
};

/// An entry in the registry, until it is destroyed. It allocates nothing. When the
/// context is already being destroyed, it calls `context_gone()` at once.
class shutdown_registration {
 public:
  shutdown_registration(boost::asio::execution_context& context, std::weak_ptr<shutdown_listener> dependent);
  ~shutdown_registration();

  shutdown_registration(const shutdown_registration&) = delete;
  shutdown_registration& operator=(const shutdown_registration&) = delete;

 private:
  const std::shared_ptr<shutdown_registry> registry_;
  shutdown_registry::entry entry_;
};

}  // namespace conn_grpc::runtime
