// SPDX-License-Identifier: BSL-1.0
#pragma once

// Everything is hidden unless it says otherwise; the same attribute serves the static library, where it changes
// nothing.
#define CONN_GRPC_API [[gnu::visibility("default")]]

namespace boost::asio {}

namespace conn_grpc {
namespace asio = boost::asio;
}
