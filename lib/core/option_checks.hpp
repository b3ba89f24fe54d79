// SPDX-License-Identifier: BSL-1.0
// Checks of options. Each check throws boost::system::system_error with
// errc::invalid_options, and a text that names the field.
#pragma once

#include <conn_grpc/backoff.hpp>

#include <chrono>
#include <string_view>

namespace conn_grpc::core {

[[noreturn]] void reject(std::string_view field, std::string_view why);
void check(bool ok, std::string_view field, std::string_view why);
void check_not_empty(std::string_view field, std::string_view value);
void check_not_negative(std::string_view field, std::chrono::milliseconds value);
void check_positive(std::string_view field, std::chrono::milliseconds value);
void check_range(std::string_view field, backoff_range range);

}  // namespace conn_grpc::core
