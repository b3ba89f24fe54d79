// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_settings.hpp"

#include <conn_grpc/options.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace conn_grpc::detail {

/// How long an attempt may take before it is given up. gRPC itself ends name resolution, and the attempt at each
/// address, after `connect_timeout`; that leaves time for eight addresses. Beyond are more addresses than that,
/// resolvers and load balancing policies without a limit, and channels that the user created with other arguments.
[[nodiscard]] std::chrono::milliseconds attempt_limit(std::chrono::milliseconds connect_timeout);

/// Checks the options, and fills in what the user left empty.
/// @param field how the option is named in errors: "" or "channel.".
/// @param pool_name empty for a channel on its own.
/// @throws boost::system::system_error with errc::invalid_options.
[[nodiscard]] std::shared_ptr<const runtime::channel_settings> checked_settings(const channel_options& options,
                                                                                const std::string& field,
                                                                                const std::string& pool_name);

}  // namespace conn_grpc::detail
