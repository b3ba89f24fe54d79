// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// Includes all headers of conn_grpc.

/// @namespace conn_grpc
/// Keeps gRPC channels connected, for programs that use Boost.Asio.

#include <conn_grpc/backoff.hpp>
#include <conn_grpc/channel.hpp>
#include <conn_grpc/client.hpp>
#include <conn_grpc/configuration.hpp>
#include <conn_grpc/detail/features.hpp>
#include <conn_grpc/error.hpp>
#include <conn_grpc/lease.hpp>
#include <conn_grpc/lifecycle.hpp>
#include <conn_grpc/named.hpp>
#include <conn_grpc/options.hpp>
#include <conn_grpc/pool.hpp>
#include <conn_grpc/static_channel.hpp>
#include <conn_grpc/static_lifecycle.hpp>
#include <conn_grpc/static_pool.hpp>
#include <conn_grpc/status.hpp>
#include <conn_grpc/streams.hpp>
#include <conn_grpc/telemetry.hpp>
#include <conn_grpc/tls.hpp>
#include <conn_grpc/unary.hpp>
#include <conn_grpc/version.hpp>

#if defined(CONN_GRPC_HAS_EVENT_ENGINE)
#include <conn_grpc/event_engine.hpp>
#endif
