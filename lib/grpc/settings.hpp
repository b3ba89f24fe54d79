// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_settings.hpp"

#include <conn_grpc/options.hpp>

#include <memory>
#include <string>

namespace conn_grpc::detail {

/// Checks the options, and fills in what the user left empty.
/// @param field how the option is named in errors: "" or "channel.".
/// @param pool_name empty for a channel on its own.
/// @throws boost::system::system_error with errc::invalid_options.
[[nodiscard]] std::shared_ptr<const runtime::channel_settings> checked_settings(const channel_options& options,
                                                                                const std::string& field,
                                                                                const std::string& pool_name);

}  // namespace conn_grpc::detail
