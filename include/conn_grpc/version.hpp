// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// The version of the library. The build reads it from this file, and uses it for the
/// library's file name, pkg-config and CMake.

/// The first number of the version.
#define CONN_GRPC_VERSION_MAJOR 0
/// The second number of the version.
#define CONN_GRPC_VERSION_MINOR 2
/// The third number of the version.
#define CONN_GRPC_VERSION_PATCH 0

/// The version as a number, for `#if`: 0.2.0 is 200, and 1.2.3 is 10203.
#define CONN_GRPC_VERSION (CONN_GRPC_VERSION_MAJOR * 10'000 + CONN_GRPC_VERSION_MINOR * 100 + CONN_GRPC_VERSION_PATCH)
