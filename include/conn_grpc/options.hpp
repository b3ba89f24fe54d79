// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <conn_grpc/backoff.hpp>
#include <conn_grpc/telemetry.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace spdlog {
class logger;
}

namespace conn_grpc {

using channel_ptr = std::shared_ptr<grpc::Channel>;

/// How one channel connects. Name the fields in this order. Checked by the constructors of `channel` and `pool`, which
/// throw boost::system::system_error with errc::invalid_options and the name of the first field that is wrong.
///
/// Every function in here but `mock` is called on the channel's strand, one call at a time, and must not block: while
/// it runs, no channel of the same pool makes progress. What it throws restarts that channel (see
/// `lifecycle::async_run`). A pool keeps one copy of each function, which all of its channels call: the state of a
/// function object is shared by the whole pool.
struct channel_options {
  /// The name used for look-up, `conn_grpc::get_channel(name)`, and in logs, status, telemetry and exceptions. Unique
  /// among the channels and pools that run in its execution context (errc::name_taken); when empty it cannot be looked
  /// up. The channels of a pool are named "<pool>/<index>" instead, and cannot be looked up.
  std::string name{};

  /// Any gRPC target: "host:port", "dns:///host:port", "ipv4:127.0.0.1:50051", "unix:/run/app.sock", "xds:///app".
  /// Must not be empty. A port must be from 0 to 65535, "http" or "https", unless `create_channel` is set. To gRPC
  /// "host" without a port is port 443, and "http://host" is no target.
  std::string address{};

  /// Null: grpc::InsecureChannelCredentials().
  std::shared_ptr<grpc::ChannelCredentials> credentials{};

  /// Given to gRPC as they are, with these exceptions:
  ///
  ///  - Of an argument that was set twice the last one counts (to gRPC, the first), so that code can override what was
  ///    loaded from a file.
  ///  - GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL is always 1: every channel has a connection of its own.
  ///  - GRPC_ARG_MIN_RECONNECT_BACKOFF_MS and GRPC_ARG_DNS_ARES_QUERY_TIMEOUT_MS are always `connect_timeout`. They
  ///    limit the attempt at one address, and name resolution.
  ///  - GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, unless it is set here, is the lesser of 1 s and 4/5 of
  ///    `connect_timeout`. gRPC does not end the attempt at an address before it is over.
  ///  - GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, unless it is set here, is off: gRPC would close connections without RPCs.
  ///
  /// With GRPC_ARG_KEEPALIVE_TIME_MS among them, the attempt after a loss uses the lost gRPC channel again: gRPC keeps
  /// in the channel that a server has found the pings too frequent.
  grpc::ChannelArguments arguments{};

  /// Handed to `make_backoff`.
  backoff_range backoff{};

  /// Makes the channel's backoff policy: called for each channel when it starts, and again when user code that threw
  /// restarts it. Empty: exponential_backoff. Must not return null.
  std::function<std::unique_ptr<conn_grpc::backoff>(backoff_range)> make_backoff{};

  /// How long name resolution may take, and then the attempt at each address, TLS included. Above zero. gRPC ends the
  /// attempt, and the reason is in its words; it takes 100 ms at least. An attempt that gRPC does not end is given up
  /// after 9 times this: more than eight silent addresses, or a resolver or a `create_channel` without such limits.
  ///
  /// A peer that accepts and stays silent may see a second connection as gRPC ends the attempt. It is closed soon
  /// after.
  std::chrono::milliseconds connect_timeout{20'000};

  /// A connection that lived at least this long is replaced at once when it is lost. After a shorter one the channel
  /// waits for its backoff, so that a server that accepts and drops cannot make a hot loop. Above zero.
  ///
  /// A shorter one that the server closed in order, as one with a short maximum connection age does, is replaced
  /// without a backoff, twice per `stable_after` at most. Closed in order means: RPCs of `unary` were in flight and go
  /// on, or RPCs had succeeded and none ended with the connection. A connection without RPCs counts as the one before
  /// it.
  std::chrono::milliseconds stable_after{1'000};

  /// Log one line per transition, at debug level, which spdlog does not show before this call:
  /// spdlog::set_level(spdlog::level::debug). Without it, only what user code threw is logged.
  bool debug = false;

  /// Where the lines go. Null: spdlog::default_logger() as it is when the channel is constructed.
  std::shared_ptr<spdlog::logger> logger{};

  /// Called after the channel was published, once per connection. A `stop()` that comes just then, from another thread
  /// or another channel's callback, withdraws it before.
  std::function<void()> on_connect{};

  /// Called after the channel was withdrawn, once per connection that `on_connect` returned for; also when `stop()`
  /// ends the connection. The status has the reason of a loss by then. telemetry's channel_disconnected follows.
  std::function<void()> on_disconnect{};

  /// Makes a new gRPC channel for each attempt, from the address, the credentials and the arguments above, completed as
  /// described there. Empty: as grpc::CreateCustomChannel. Must not return null.
  ///
  /// It is not called for the attempt after a loss when `arguments` ask for keepalive: that attempt uses the lost
  /// channel again. The RPCs of its channels are not followed. So the reason of a loss is "closed by the peer", which
  /// never counts as closed in order. A channel is withdrawn when its state changes, which may be after its RPCs have
  /// failed. Pass the arguments on: without them `connect_timeout` does not limit what gRPC does.
  std::function<channel_ptr(const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>&,
                            const grpc::ChannelArguments&)>
      create_channel{};

  /// For tests of services: when set, every get is answered by it, in every state of the channel or pool, by the
  /// thread that gets. (By name or type it is found only while it runs.) Null means errc::not_connected. What it
  /// throws, the get throws; a handler is called with the code of a boost::system::system_error. The channel connects
  /// all the same, once it runs.
  std::function<channel_ptr()> mock{};

  /// Where events are reported. Null: telemetry::global().
  std::shared_ptr<conn_grpc::telemetry> telemetry{};

  /// How often what user code throws restarts a channel, over all channels of a pool, before it ends `async_run` with
  /// errc::restart_limit: this many times within any `restart_window`, which must be above zero.
  std::size_t max_restarts = 3;
  std::chrono::milliseconds restart_window{5'000};
};

/// A pool is `pool_size` channels with the same options.
struct pool_options {
  /// The name used for look-up, `conn_grpc::get_channel(name)`, and in logs, status, telemetry and exceptions. Unique
  /// among the channels and pools that run in its execution context (errc::name_taken); when empty it cannot be looked
  /// up.
  std::string name{};

  /// How many channels, hence how many TCP connections. Zero is a pool that is always errc::not_connected. At most
  /// 100,000.
  std::size_t pool_size = 1;

  channel_options channel{};

  /// How often the pool reports its size to telemetry, besides when it starts (event::pool_status). Above zero.
  std::chrono::milliseconds status_interval{5'000};

  /// How many gets may wait for a channel at a time (`get_channel(timeout)`). The next one ends at once with
  /// errc::too_many_waiters. 0: any number.
  std::size_t max_waiters = 0;
};

}  // namespace conn_grpc
