// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

namespace conn_grpc::core {

/// `text` with environment variables in it: `${NAME}`, and `${NAME:-default}` for when it is unset or empty, as in a
/// shell. `$${` stands for `${`. What a variable holds is not expanded again. Must not run while the environment
/// changes.
/// @throws boost::system::system_error with errc::invalid_options and a text that begins with `field`.
[[nodiscard]] std::string expand_environment(std::string_view text, std::string_view field);

}  // namespace conn_grpc::core
