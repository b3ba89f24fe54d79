// SPDX-License-Identifier: BSL-1.0
#include "core/option_checks.hpp"

#include <boost/system/system_error.hpp>
#include <conn_grpc/error.hpp>

#include <string>

namespace conn_grpc::core {
namespace {

std::string in_ms(std::chrono::milliseconds value) { return std::to_string(value.count()) + " ms"; }

}  // namespace

void reject(std::string_view field, std::string_view why) {
  throw boost::system::system_error(errc::invalid_options, std::string(field).append(": ").append(why));
}

void check(bool ok, std::string_view field, std::string_view why) {
  if (!ok) reject(field, why);
}

void check_not_empty(std::string_view field, std::string_view value) {
  check(!value.empty(), field, "must not be empty");
}

void check_positive(std::string_view field, std::chrono::milliseconds value) {
  if (value.count() <= 0) reject(field, "must be above zero, is " + in_ms(value));
}

void check_not_negative(std::string_view field, std::chrono::milliseconds value) {
  if (value.count() < 0) reject(field, "must not be below zero, is " + in_ms(value));
}

void check_range(std::string_view field, backoff_range range) {
  check_positive(std::string(field) + ".min", range.min);
  check_positive(std::string(field) + ".max", range.max);
  if (range.min > range.max)
    reject(field, "min must not be above max, but " + in_ms(range.min) + " > " + in_ms(range.max));
}

}  // namespace conn_grpc::core
