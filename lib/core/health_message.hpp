// SPDX-License-Identifier: BSL-1.0
// The messages of gRPC's health protocol, grpc.health.v1.Health/Watch. They are so small
// that no generated code is needed, which could clash with the user's.
#pragma once

#include <string>
#include <string_view>

namespace conn_grpc::core {

/// HealthCheckResponse.ServingStatus. A later version of the protocol may have more.
enum class serving_status { unknown = 0, serving = 1, not_serving = 2, service_unknown = 3 };

/// A HealthCheckRequest. Never empty.
[[nodiscard]] std::string health_request(std::string_view service);

/// The status in a HealthCheckResponse; `unknown` when it cannot be read.
[[nodiscard]] serving_status health_response(std::string_view bytes);

}  // namespace conn_grpc::core
