// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "runtime/checked_pool_options.hpp"

#include <conn_grpc/options.hpp>

#include <memory>
#include <string>
#include <vector>

namespace conn_grpc::detail {

/// Checks the options, and fills in the defaults of those that the user left empty.
/// @param type_key of a static_pool or static_channel; else empty.
/// @throws boost::system::system_error with errc::invalid_options, which names the field.
[[nodiscard]] std::shared_ptr<const runtime::checked_pool_options> checked(const pool_options& options,
                                                                           std::string type_key);
[[nodiscard]] std::shared_ptr<const runtime::checked_pool_options> checked(const channel_options& options,
                                                                           std::string type_key);

/// Checks the addresses of a pool with these options.
/// @throws boost::system::system_error with errc::invalid_options, which names the element.
void check_addresses(const std::vector<std::string>& addresses, const runtime::checked_pool_options& of);

}  // namespace conn_grpc::detail
