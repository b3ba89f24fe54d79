// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one place where the version is: the build reads it from here, for the library's file name, pkg-config and CMake.
#define CONN_GRPC_VERSION_MAJOR 0
#define CONN_GRPC_VERSION_MINOR 2
#define CONN_GRPC_VERSION_PATCH 0

/// For `#if`: 0.2.0 is 200, 1.2.3 is 10203.
#define CONN_GRPC_VERSION (CONN_GRPC_VERSION_MAJOR * 10'000 + CONN_GRPC_VERSION_MINOR * 100 + CONN_GRPC_VERSION_PATCH)
