// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// The options of a channel and of a pool.

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <boost/asio/awaitable.hpp>
#include <conn_grpc/backoff.hpp>
#include <conn_grpc/detail/channel_ptr.hpp>
#include <conn_grpc/telemetry.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spdlog {
class logger;
}

namespace conn_grpc {

/// How leases choose among the connected channels.
enum class pick_policy {
  /// Each channel in turn, from one address to the next.
  round_robin,
  /// The less loaded of two channels at random. The load is the number of leases. Slow or
  /// overloaded backends get less.
  least_loaded,
};

/// How a channel connects. In a designated initializer, name the fields in this order.
///
/// *Errors*: The constructors of `channel` and `pool` check the options. They throw
/// boost::system::system_error with errc::invalid_options and the name of the first field
/// that is wrong.
///
/// *Executor*: Each function in here, except `mock`, is called on the channel's strand,
/// one call at a time. It must not block: meanwhile no channel of the same pool makes
/// progress. An exception of a function restarts the channel, as `lifecycle::async_run`
/// describes.
///
/// *Lifetime*: A pool keeps a single copy of each function, and all of its channels call
/// that copy. So they share the state of a function object.
struct channel_options {
  /// The name used for look-up (`conn_grpc::get_channel(name)`), and in logs, status,
  /// telemetry and exceptions.
  ///
  /// It must be unique among the channels and pools that run in its execution context.
  /// Otherwise `async_run` ends with errc::name_taken. A channel with an empty name
  /// cannot be looked up. The channels of a pool do not use this name, and cannot be
  /// looked up. They are named `<pool>/<index>`, or `<pool>/<address>/<index>` if
  /// `pool_options::addresses` or `pool_options::resolve_interval` is set.
  std::string name{};

  /// Any gRPC target: "host:port", "dns:///host:port", "ipv4:127.0.0.1:50051",
  /// "unix:/run/app.sock", "xds:///app". Must not be empty.
  ///
  /// Give a port: to gRPC, a host name without a port means port 443. This does not hold
  /// for an IP address. A port must be from 0 to 65535, or "http" or "https", unless
  /// `create_channel` is set. "http://host" is no target.
  std::string address{};

  /// The credentials of the connection, for example those of `tls_credentials`. Null
  /// means grpc::InsecureChannelCredentials().
  std::shared_ptr<grpc::ChannelCredentials> credentials{};

  /// The channel arguments. They are passed to gRPC unchanged, with these exceptions:
  ///
  ///  - If an argument is set twice, the last value counts (to gRPC alone, the first). So
  ///    code can override what was loaded from a file.
  ///  - GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL is always 1, so that every channel has its own
  ///    connection.
  ///  - GRPC_ARG_MIN_RECONNECT_BACKOFF_MS and GRPC_ARG_DNS_ARES_QUERY_TIMEOUT_MS are
  ///    always `connect_timeout`. They limit the attempt at an address, and name
  ///    resolution.
  ///  - GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, unless it is set here, is 4/5 of
  ///    `connect_timeout` and at most 1 s. Before that time, gRPC does not end the
  ///    attempt at an address.
  ///  - GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, unless it is set here, is off. Otherwise gRPC
  ///    would close connections without RPCs.
  ///  - With GRPC_ARG_KEEPALIVE_TIME_MS, "grpc.http2.ping_timeout_ms" is
  ///    GRPC_ARG_KEEPALIVE_TIMEOUT_MS, unless it is set here. gRPC 1.83 uses it instead.
  ///  - With `pool_options::resolve_interval`, GRPC_ARG_DEFAULT_AUTHORITY is the host and
  ///    port of the name, unless it or GRPC_SSL_TARGET_NAME_OVERRIDE_ARG is set here.
  ///
  /// With GRPC_ARG_KEEPALIVE_TIME_MS, the attempt after a loss uses the lost gRPC channel
  /// again. A server may have found the pings too frequent, and gRPC keeps that knowledge
  /// in the channel.
  grpc::ChannelArguments arguments{};

  /// The limits of the backoff, which are passed to `make_backoff`.
  backoff_range backoff{};

  /// Makes the channel's backoff policy. Called for each channel when it starts, and
  /// again when an exception of user code restarts it. Empty means `exponential_backoff`.
  /// Must not return null.
  std::function<std::unique_ptr<conn_grpc::backoff>(backoff_range)> make_backoff{};

  /// The limit for name resolution, and then for the attempt at each address, TLS
  /// included. Above zero.
  ///
  /// gRPC ends the attempt, after 100 ms at the earliest, and gives the reason. The
  /// library abandons an attempt that gRPC has not ended after 9 times this limit. That
  /// happens with more than eight silent addresses, or with a resolver or a
  /// `create_channel` that has no such limits.
  ///
  /// A peer that accepts and stays silent may see a second connection when gRPC ends the
  /// attempt. That connection is closed soon afterwards.
  std::chrono::milliseconds connect_timeout{20'000};

  /// How long a connection must have lived to be replaced at once when it is lost. Above
  /// zero.
  ///
  /// After a shorter connection the channel waits for its backoff. So a server that
  /// accepts and drops connections cannot cause a busy loop.
  ///
  /// A shorter connection that the server closed in order is replaced without a backoff,
  /// twice per `stable_after` at most. A server with a short maximum connection age
  /// closes connections in order. The channel assumes this if RPCs of `unary` or streams
  /// were in flight and go on. It also assumes it if RPCs had succeeded and none ended with
  /// the connection. For a connection without RPCs it assumes the same as for the
  /// connection before.
  std::chrono::milliseconds stable_after{1'000};

  /// Whether the channel logs a line for each transition, at debug level. spdlog does not
  /// show that level before spdlog::set_level(spdlog::level::debug). When false, the
  /// channel logs only exceptions of user code.
  bool debug = false;

  /// The logger of those lines. Null means the spdlog::default_logger() of the time when
  /// the channel is constructed.
  std::shared_ptr<spdlog::logger> logger{};

  /// Called once per connection, after the channel was published. With `health_service`,
  /// it is also called for a connection that is unhealthy at first, and is not published
  /// yet. If another thread, or another channel's callback, calls `stop()` in between, the
  /// channel is withdrawn before this call.
  std::function<void()> on_connect{};

  /// Called after the channel was withdrawn, once per connection for which `on_connect`
  /// returned. It is also called when `stop()` ends the connection. For a connection that
  /// was replaced, it is called after the `on_connect` of the new connection. `status()`
  /// has the reason of a loss by then. The event channel_disconnected follows.
  std::function<void()> on_disconnect{};

  /// Makes a gRPC channel for each attempt, from the address, the credentials and the
  /// arguments. The arguments are completed as described at `arguments`. If it is empty,
  /// the library makes the channel, as grpc::CreateCustomChannel does. Must not return
  /// null.
  ///
  /// Pass the arguments on. Without them `connect_timeout` does not limit what gRPC does.
  ///
  /// If the `arguments` ask for keepalive, the attempt after a loss does not call this
  /// function: it uses the lost channel again.
  ///
  /// The library does not follow the RPCs of these channels. So the reason of a loss is
  /// "closed by the peer", which never counts as closed in order. The channel is
  /// withdrawn when its state changes, which may be after its RPCs have failed.
  std::function<channel_ptr(const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>&,
                            const grpc::ChannelArguments&)>
      create_channel{};

  /// For tests of services. If it is set, it answers every get, in every state of the
  /// channel or pool. By name or type, the channel or pool is found only while it runs.
  /// Null means errc::not_connected. The channel still connects once it runs.
  ///
  /// *Errors*: A get throws what this function throws. A handler receives the code of a
  /// boost::system::system_error.
  ///
  /// *Thread safety*: The thread that calls the get calls this function, so several
  /// threads may call it at the same time.
  std::function<channel_ptr()> mock{};

  /// Where the channel or pool reports its events. Null means `telemetry::global()`.
  std::shared_ptr<conn_grpc::telemetry> telemetry{};

  /// How many exceptions of user code may restart channels within any `restart_window`.
  /// All channels of a pool count together. One more exception ends `async_run` with
  /// errc::restart_limit.
  std::size_t max_restarts = 3;
  /// The time window of `max_restarts`. Above zero.
  std::chrono::milliseconds restart_window{5'000};

  /// How long a connection is used before the channel replaces it, plus or minus a tenth
  /// at random. Zero means for ever. Not below zero.
  ///
  /// The channel connects again, publishes the new connection, and then withdraws the old
  /// one. If the attempt fails, the old connection stays, and the next attempt follows
  /// after the backoff.
  std::chrono::milliseconds max_connection_age{0};

  /// Called with the gRPC channel of each new connection. The channel awaits the coroutine
  /// before it publishes the connection. The coroutine is part of the attempt. It may make
  /// RPCs, for example to warm a cache. An empty function means that there is nothing to
  /// await.
  ///
  /// *Errors*: An exception in the coroutine fails the attempt. The reason is "prime: " and
  /// the text of the exception. An exception of the function itself, before it returns the
  /// coroutine, restarts the channel.
  ///
  /// *Cancellation*: The library cancels the coroutine (all types) when the attempt has
  /// taken 9 times `connect_timeout`, when the connection is lost, and when the channel is
  /// stopped. The library does not wait until the cancelled coroutine ends.
  ///
  /// *Executor*: The coroutine runs on the channel's strand.
  std::function<asio::awaitable<void>(channel_ptr)> prime{};

  /// The name of the service whose health the channel watches over each connection, with
  /// gRPC's health protocol (grpc.health.v1.Health/Watch). "" asks for the health of the
  /// whole server. Without a value the channel watches no health.
  ///
  /// While the server reports another status than SERVING, gets do not return the channel,
  /// and its state is `unhealthy`. The connection stays. A server without a health service
  /// (UNIMPLEMENTED) counts as healthy.
  ///
  /// The wait for the server's first answer is part of the attempt. After the answer the
  /// channel awaits `prime` and calls `on_connect`, even if the server does not serve.
  std::optional<std::string> health_service{};
};

/// The options of a pool. All of its channels have the same `channel` options. In a
/// designated initializer, name the fields in this order.
///
/// *Errors*: The constructor of `pool` checks the options. It throws
/// boost::system::system_error with errc::invalid_options and the name of the first field
/// that is wrong.
struct pool_options {
  /// The name used for look-up (`conn_grpc::get_channel(name)`), and in logs, status,
  /// telemetry and exceptions.
  ///
  /// It must be unique among the channels and pools that run in its execution context.
  /// Otherwise `async_run` ends with errc::name_taken. A pool with an empty name cannot
  /// be looked up.
  std::string name{};

  /// The number of channels to each address. Each channel is one TCP connection.
  /// `pool_size` times the number of `addresses` must not be above 100,000. With zero,
  /// every get fails with errc::not_connected.
  std::size_t pool_size = 1;

  /// The options of each channel of the pool.
  channel_options channel{};

  /// The interval of the event pool_status, which reports the size of the pool. The pool
  /// also emits the event when it starts. Above zero.
  std::chrono::milliseconds status_interval{5'000};

  /// How many gets with a timeout may wait for a channel at the same time. The next one
  /// fails at once with errc::too_many_waiters. Zero means any number.
  std::size_t max_waiters = 0;

  /// The addresses of the pool. Each is any gRPC target, with the same limits as
  /// `channel_options::address`. Successive gets alternate between the addresses. An empty
  /// list means `channel.address` alone. An address that occurs twice counts once.
  /// `pool::set_addresses` changes the list.
  ///
  /// If the list is not empty, `channel.address` is not used, and the channels are named
  /// `<pool>/<address>/<index>`.
  std::vector<std::string> addresses{};

  /// How many attempts to connect may be under way at the same time. Further attempts wait
  /// in a queue. Zero means any number. An attempt includes the wait for the first answer
  /// of `channel_options::health_service`, and `channel_options::prime`.
  std::size_t max_connecting = 0;

  /// The interval at which the pool resolves the name in `channel.address`, plus or minus a
  /// tenth at random. Zero means that gRPC resolves the name, and that each channel
  /// connects to one of its addresses. Not below zero.
  ///
  /// If the interval is above zero, `channel.address` must be "host:port" or
  /// "dns:///host:port", and `addresses` must be empty. Each IP address of the name becomes
  /// an address of the pool ("ipv4:10.0.0.1:50051", "ipv6:[::1]:50051"), with `pool_size`
  /// channels. The channels are named `<pool>/<address>/<index>`. TLS and the :authority of
  /// RPCs still use the name, unless `channel.arguments` set GRPC_ARG_DEFAULT_AUTHORITY or
  /// GRPC_SSL_TARGET_NAME_OVERRIDE_ARG.
  ///
  /// The pool resolves the name earlier after each of these: a connection was lost or
  /// became unhealthy, an attempt failed, a look-up failed. Between such look-ups there are
  /// pauses of 1 s, 2 s, 4 s, …, plus or minus a tenth. No pause is longer than 30 s or
  /// than `resolve_interval`.
  ///
  /// A look-up that fails changes no addresses. Until the first look-up succeeds, the pool
  /// has no addresses, and gets with a timeout wait. `pool_status::addresses` and the
  /// exceptions of gets have the reason of the failure.
  ///
  /// Each look-up calls getaddrinfo on a thread of its own. The thread ends with the
  /// look-up. `stop()`, `async_run` and the execution context do not wait for it.
  std::chrono::milliseconds resolve_interval{0};

  /// How a lease (`pool::get_lease`) chooses its channel. Gets always return the channels in
  /// turn, because the pool does not know how long a caller uses a channel.
  pick_policy pick = pick_policy::round_robin;

  /// How many leases of one connection there may be at the same time. While all connected
  /// channels have that many, `pool::get_lease` with a timeout waits. Zero means any number.
  /// For a server that limits the RPCs of a connection, use its limit
  /// (SETTINGS_MAX_CONCURRENT_STREAMS, usually 100).
  std::size_t max_in_flight = 0;

  /// How many channels to each address there may be. If it is above `pool_size`, the number
  /// of channels follows the number of leases, and `max_in_flight` must be set. The number
  /// grows at once when each connected channel has `max_in_flight` leases. It shrinks, to
  /// `pool_size` at the least, when fewer channels would have been enough for 10 s, with a
  /// fifth to spare. Leases of a channel that is removed go on. Zero means that the number
  /// does not change.
  std::size_t max_size = 0;

  /// When the leases of a connection have reported so many failures in a row
  /// (DEADLINE_EXCEEDED or UNAVAILABLE), the pool replaces the connection, as
  /// `pool::suspect` does. Zero means never. A `client` does not report a DEADLINE_EXCEEDED
  /// of an RPC that had waited for its lease for more than half of its timeout.
  std::size_t suspect_after = 0;
};

}  // namespace conn_grpc
