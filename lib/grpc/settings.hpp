// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/channel_settings.hpp"

#include <conn_grpc/options.hpp>

#include <string>

namespace conn_grpc::detail {

/// Checks the options, and fills in what the user left empty.
/// @param field how the option is named in errors: "" or "channel.".
/// @throws boost::system::system_error with errc::invalid_options.
[[nodiscard]] runtime::channel_settings checked_settings(const channel_options& options, const std::string& field);

}  // namespace conn_grpc::detail
