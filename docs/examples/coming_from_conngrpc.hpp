// SPDX-License-Identifier: BSL-1.0
// What the parts of coming_from_conngrpc share. The page that shows them is docs/coming-from-conngrpc.md.
#pragma once

#include <string>

#include "example_test.hpp"

namespace examples {

/// The test's server. "localhost:50051" to the page.
inline std::string address;

void use_options(const std::string& server_executable);
void hit_the_restart_limit();
void hear_events();

}  // namespace examples
