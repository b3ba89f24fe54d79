// SPDX-License-Identifier: BSL-1.0
// The messages of gRPC's health protocol, grpc.health.v1.Health/Watch. The library encodes
// them by hand, because generated code could clash with the user's. They are small.
#pragma once

#include <string>
#include <string_view>

namespace conn_grpc::core {

/// HealthCheckResponse.ServingStatus. A later version of the protocol may have more values.
enum class serving_status { unknown = 0, serving = 1, not_serving = 2, service_unknown = 3 };

/// Encodes a HealthCheckRequest. The result is never empty.
[[nodiscard]] std::string health_request(std::string_view service);

/// Decodes the status in a HealthCheckResponse. Returns `unknown` when it cannot read the
/// bytes.
[[nodiscard]] serving_status health_response(std::string_view bytes);

}  // namespace conn_grpc::core
