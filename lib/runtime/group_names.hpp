// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/directory.hpp"
#include "runtime/group_settings.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <conn_grpc/error.hpp>

#include <memory>

namespace conn_grpc::runtime {

/// By which a group can be looked up while it runs: its name, and the key of its type. Thread-safe.
class group_names {
 public:
  group_names(boost::asio::execution_context& context, const group_settings& settings, const void* group)
      : settings_(settings), group_(group), directory_(directory::of(context)) {}

  /// Of the names that it has. Already_started when its type has another group, errc::name_taken when its name has.
  [[nodiscard]] error_code claim(const std::shared_ptr<void>& group) {
    if (!settings_.type_key.empty() && !directory_->claim(settings_.type_key, group))
      return boost::asio::error::already_started;
    if (!settings_.name.empty() && !directory_->claim(settings_.name, group)) return errc::name_taken;
    return {};
  }

  void release() noexcept { directory_->release(group_); }

 private:
  const group_settings& settings_;
  const void* const group_;
  const std::shared_ptr<directory> directory_;
};

}  // namespace conn_grpc::runtime
