// SPDX-License-Identifier: BSL-1.0
#include "core/health_message.hpp"

#include <string>

#include "support/catch.hpp"

using conn_grpc::core::health_request;
using conn_grpc::core::health_response;
using conn_grpc::core::serving_status;
using namespace std::string_literals;

TEST_CASE("a health request has the name of the service as its first field", "[health]") {
  CHECK(health_request("") == "\x0a\x00"s);
  CHECK(health_request("a.B") == "\x0a\x03"s + "a.B");
  const std::string name(300, 'x');
  CHECK(health_request(name) == "\x0a\xac\x02"s + name);
}

TEST_CASE("the status of a health response", "[health]") {
  CHECK(health_response("") == serving_status::unknown);
  CHECK(health_response("\x08\x00"s) == serving_status::unknown);
  CHECK(health_response("\x08\x01"s) == serving_status::serving);
  CHECK(health_response("\x08\x02"s) == serving_status::not_serving);
  CHECK(health_response("\x08\x03"s) == serving_status::service_unknown);
  CHECK(health_response("\x08\x04"s) == serving_status::unknown);
  CHECK(health_response("\x08\x81\x00"s) == serving_status::serving);  // a varint that is longer than needed
}

TEST_CASE("other fields of a health response are skipped", "[health]") {
  CHECK(health_response("\x10\x80\x01\x08\x01"s) == serving_status::serving);
  CHECK(health_response("\x12\x02zz\x08\x01"s) == serving_status::serving);
  CHECK(health_response("\x15zzzz\x08\x01"s) == serving_status::serving);
  CHECK(health_response("\x11zzzzzzzz\x08\x01"s) == serving_status::serving);
  CHECK(health_response("\x08\x02\x08\x01"s) == serving_status::serving);  // the last value counts
}

TEST_CASE("a health response that cannot be read has an unknown status", "[health]") {
  const auto* const bytes = GENERATE("\x08", "\x08\x81", "\x81", "\x08\x01\x12\x05z", "\x08\x01\x13", "\x08\x01\x15z",
                                     "\x08\x81\x81\x81\x81\x81\x81\x81\x81\x81\x81\x01");
  CHECK(health_response(bytes) == serving_status::unknown);
}
