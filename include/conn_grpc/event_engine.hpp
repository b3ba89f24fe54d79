// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// gRPC inside an io_context. The library has this header when it was built with a gRPC
/// that has a public EventEngine.

#include <conn_grpc/detail/config.hpp>
#include <conn_grpc/detail/features.hpp>

#if !defined(CONN_GRPC_HAS_EVENT_ENGINE)
#error "this conn_grpc was built with a gRPC that has no public EventEngine"
#endif

#include <grpcpp/support/channel_arguments.h>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <memory>

namespace conn_grpc {

/// What an event_engine_scope takes over.
enum class event_engine_use {
  everything,   ///< sockets, timers, look-ups and callbacks of all channels that are made in it
  only_sockets  ///< sockets and timers, only of the channels that are made with `add_to`
};

/// The options of an event_engine_scope.
struct event_engine_options {
  event_engine_use use = event_engine_use::everything;  ///< What the scope takes over.

  /// The time for which `io` polls its sockets, instead of sleeping, after gRPC has sent
  /// something. From 0 to 1 s. With 0 it does not poll. When the answer comes within this time,
  /// the kernel need not wake up the thread that runs `io`, and the RPC takes less time. The
  /// thread uses its CPU during the whole time, also after the answer has come. Choose a time
  /// that is somewhat longer than an answer takes.
  ///
  /// `io.poll()` does not return while `io` polls: call `io.run()` or `io.run_for()`. Once a
  /// second thread has run `io`, or a handler has run `io` itself, this has no effect any more.
  std::chrono::microseconds busy_poll{0};
};

/// gRPC's sockets, timers, look-ups and callbacks are those of an io_context, from the
/// construction of the scope to its destruction:
///
///     asio::io_context io;
///     conn_grpc::event_engine_scope scope(io);
///     conn_grpc::pool pool{io, {.pool_size = 5, .channel = {.address = "localhost:50051"}}};
///
/// gRPC starts no event threads then. Its callbacks run on the threads that run `io`, so a
/// handler that blocks these threads blocks gRPC. What gRPC waits for does not keep
/// `io.run()` from returning. An RPC of this library does.
///
/// Channels that were made before keep their engine. A program has at most one scope that
/// takes everything, because gRPC has one default engine. It may have any number of scopes
/// with `only_sockets`.
///
/// *Thread safety*: One thread may construct the scope, and another one may destroy it.
/// Several threads may run `io`.
///
/// *Lifetime*: The scope and `io` may be destroyed in any order. The destruction of the first
/// one closes the sockets, and RPCs in flight end with UNAVAILABLE. Nothing of gRPC's runs in
/// `io` any more. A channel that the program has kept does not connect again. A thread of the library
/// runs what gRPC still has to end. A pool that goes on connects with gRPC's own engine,
/// unless its arguments are from `add_to`.
class CONN_GRPC_API event_engine_scope {
 public:
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options if `io` has no
  /// locks (BOOST_ASIO_CONCURRENCY_HINT_UNSAFE or BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO).
  /// Throws std::logic_error if this scope and another one take everything. Throws
  /// std::system_error if the library's thread cannot be started.
  explicit event_engine_scope(asio::io_context& io, event_engine_use use = event_engine_use::everything);

  /// *Errors*: As the other constructor. Throws boost::system::system_error with
  /// errc::invalid_options also if an option is out of its range.
  event_engine_scope(asio::io_context& io, event_engine_options options);

  /// Waits until gRPC's queued callbacks have been called, and until those that run on other
  /// threads have returned, for a second at most.
  ~event_engine_scope();

  event_engine_scope(const event_engine_scope&) = delete;
  event_engine_scope& operator=(const event_engine_scope&) = delete;

  /// Channels that are made with these arguments have their sockets and timers in `io`.
  ///
  /// *Lifetime*: After the scope or `io` has been destroyed, channels that are made with these
  /// arguments do not connect.
  void add_to(grpc::ChannelArguments& arguments) const;

 private:
  struct state;
  const std::unique_ptr<state> state_;
};

}  // namespace conn_grpc
