// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"
#include "runtime/name_registry.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/error.hpp>

#include <memory>

namespace conn_grpc::runtime {

/// The keys under which a pool is looked up while it runs: its name, and the key of its
/// type. Thread-safe.
class pool_names {
 public:
  pool_names(boost::asio::execution_context& context, const checked_pool_options& options, const void* pool)
      : options_(options), pool_(pool), registry_(name_registry::of(context)) {}

  /// Claims the keys that are set. Returns already_started when another pool has the type
  /// key, and errc::name_taken when another pool has the name.
  [[nodiscard]] error_code claim(const std::shared_ptr<void>& pool) {
    if (!options_.type_key.empty() && !registry_->claim(options_.type_key, pool))
      return boost::asio::error::already_started;
    if (!options_.name.empty() && !registry_->claim(options_.name, pool)) return errc::name_taken;
    return {};
  }

  void release() noexcept { registry_->release(pool_); }

 private:
  const checked_pool_options& options_;
  const void* const pool_;
  const std::shared_ptr<name_registry> registry_;
};

}  // namespace conn_grpc::runtime
