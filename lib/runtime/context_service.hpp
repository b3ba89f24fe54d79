// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>

#include <memory>

namespace conn_grpc::runtime {

/// The service through which an execution context has a T. The T is made when it is first
/// used. It is shared, and may outlive the context. The end of the context calls
/// `context_shutdown()`.
template <class T>
class context_service final : public boost::asio::execution_context::service {
 public:
  using key_type = context_service;
  inline static boost::asio::execution_context::id id;

  explicit context_service(boost::asio::execution_context& context) : service(context) {}

  /// Asio does not shut down a service that was first used while the other services were
  /// shut down.
  ~context_service() override { shared_->context_shutdown(); }

  static const std::shared_ptr<T>& of(boost::asio::execution_context& context) {
    return boost::asio::use_service<context_service>(context).shared_;
  }

 private:
  void shutdown() override { shared_->context_shutdown(); }

  std::shared_ptr<T> shared_ = std::make_shared<T>();
};

}  // namespace conn_grpc::runtime
