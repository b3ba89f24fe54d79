// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace conn_grpc::core {

/// Returns `text` with the environment variables in it replaced: `${NAME}`, and
/// `${NAME:-default}` for a variable that is unset or empty, as in a shell. `$${` stands
/// for `${`. The value of a variable is not expanded again. No thread may change the
/// environment meanwhile.
/// @throws boost::system::system_error with errc::invalid_options and a text that begins
/// with `field`.
[[nodiscard]] std::string expand_environment(std::string_view text, std::string_view field);

}  // namespace conn_grpc::core
