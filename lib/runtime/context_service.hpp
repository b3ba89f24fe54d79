// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/execution_context.hpp>

#include <memory>

namespace conn_grpc::runtime {

/// The service by which an execution context has a T, made when it is first asked for. The T is shared: it may outlive
/// the context, and hears of its end by `context_shutdown()`.
template <class T>
class context_service final : public boost::asio::execution_context::service {
 public:
  using key_type = context_service;
  inline static boost::asio::execution_context::id id;

  explicit context_service(boost::asio::execution_context& context) : service(context) {}

  /// Asio does not shut a service down that was first asked for while the others were.
  ~context_service() override { shared_->context_shutdown(); }

  static const std::shared_ptr<T>& of(boost::asio::execution_context& context) {
    return boost::asio::use_service<context_service>(context).shared_;
  }

 private:
  void shutdown() override { shared_->context_shutdown(); }

  std::shared_ptr<T> shared_ = std::make_shared<T>();
};

}  // namespace conn_grpc::runtime
