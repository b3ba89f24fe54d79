// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// Events of channels and pools, and handlers for them.

#include <conn_grpc/detail/config.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace spdlog {
class logger;
}

namespace conn_grpc {

/// The events that pools and channels emit.
enum class event {
  /// A get of a `channel` or of a `pool` has ended.
  channel_get,
  /// An attempt has succeeded, and the channel was published. It was not published if
  /// its server does not serve (`channel_options::health_service`). `on_connect` is called
  /// next.
  channel_connected,
  /// An attempt has failed, also an attempt to replace a connection.
  channel_connection_failed,
  /// The channel has withdrawn a connection, because it was lost, replaced or stopped.
  /// `on_disconnect` was called.
  channel_disconnected,
  /// A get of a `pool` has ended. Emitted after its channel_get.
  pool_get_channel,
  /// Emitted when a pool starts, and then every `pool_options::status_interval`.
  pool_status,
};

/// All events, for `telemetry::attach_many`.
inline constexpr std::array all_events{
    event::channel_get,          event::channel_connected, event::channel_connection_failed,
    event::channel_disconnected, event::pool_get_channel,  event::pool_status};

/// Returns the name of the event as text: "channel_get", "channel_connected", …
///
/// *Thread safety*: Any thread may call this function.
[[nodiscard]] CONN_GRPC_API std::string_view to_string(event name) noexcept;

/// An event, as handlers receive it.
///
/// *Lifetime*: The texts are valid only during the call of the handler.
struct telemetry_event {
  /// Which event it is.
  event name;
  /// How long the get took, the attempt took, or the connection was up. Zero in
  /// pool_status.
  std::chrono::nanoseconds duration{};
  /// In pool_status: `pool_options::pool_size` for each address of the pool, as in
  /// `conn_grpc::pool_status::expected_size`. Zero until the first look-up of
  /// `pool_options::resolve_interval` has succeeded.
  std::size_t expected_size = 0;
  /// In pool_status: the number of channels that gets return.
  std::size_t current_size = 0;
  /// The reason of a failure; otherwise empty.
  ///
  ///  - channel_connection_failed: why the attempt failed, in gRPC's words.
  ///  - channel_get, pool_get_channel: why there is no channel.
  ///  - channel_disconnected: why the connection was lost (see
  ///    `channel_status::last_error`); or "replaced: " and why it was replaced; or
  ///    "suspect: " and the `why` of `pool::suspect`; or "the address was removed"; or
  ///    "stopped"; or the text of the exception of user code that restarts the channel.
  std::string_view error{};
  /// The name of the channel. Empty in pool_status. Also empty for a get of a pool that
  /// found no channel or was answered by `channel_options::mock`.
  std::string_view channel_name{};
  /// The name of the pool. Empty for a channel that belongs to no pool.
  std::string_view pool_name{};
  /// The gRPC target of the channel. Empty in pool_status. Also empty for a get that
  /// found no channel or was answered by `channel_options::mock`.
  std::string_view address{};
};

/// Calls the handlers that are attached to an event. All pools and channels report to
/// `global()`, unless `channel_options::telemetry` names another object.
///
/// Handlers of an event are called in the order in which they were attached. They should
/// not block. Gets that a handler makes are reported to no handler. While no handler is
/// attached to its events, a get pays one relaxed load for telemetry, and reads no clock.
///
/// *Errors*: A handler that throws is detached. Its id and the text of the exception are
/// logged as an error.
///
/// *Thread safety*: Any thread may call any function, also inside a handler.
///
/// *Executor*: The thread that calls a get reports it. A get that waited is reported by
/// the thread that completes it. So several threads may call a handler at the same time.
/// All other events are reported on the strand of the channel or pool.
class CONN_GRPC_API telemetry {
 public:
  /// The type of a handler.
  using handler = std::function<void(const telemetry_event&)>;

  /// Makes an object without handlers.
  telemetry() = default;
  telemetry(const telemetry&) = delete;
  telemetry& operator=(const telemetry&) = delete;
  ~telemetry() = default;

  /// Returns the telemetry object of the whole process.
  ///
  /// *Thread safety*: Any thread may call this function.
  ///
  /// *Lifetime*: The object is never destroyed. A handler that is attached when the
  /// process ends is not destroyed either. So detach a handler that must flush its
  /// output.
  [[nodiscard]] static const std::shared_ptr<telemetry>& global();

  /// Attaches a handler to an event, under an id. Returns false, without effect, if the
  /// id is taken.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options if the
  /// handler is empty.
  ///
  /// *Thread safety*: Any thread may call this function, also inside a handler.
  bool attach(std::string id, event name, handler called);

  /// Attaches a handler to several events, under one id. Returns false, without effect,
  /// if the id is taken.
  ///
  /// *Errors*: Throws boost::system::system_error with errc::invalid_options if the
  /// handler is empty.
  ///
  /// *Thread safety*: Any thread may call this function, also inside a handler.
  bool attach_many(std::string id, std::span<const event> names, handler called);

  /// Detaches the handler with this id. Returns false if there is no such id.
  ///
  /// *Thread safety*: Any thread may call this function, also inside a handler.
  ///
  /// *Lifetime*: After it returns, the calling thread does not call the handler any more,
  /// and no later event does. A call that another thread has begun may still be running.
  bool detach(std::string_view id);

  /// Returns true if a handler is attached to any of these events.
  ///
  /// *Thread safety*: Any thread may call this function.
  [[nodiscard]] bool wants(std::same_as<event> auto... names) const noexcept {
    return (wanted_.load(std::memory_order_relaxed) & (bit(names) | ...)) != 0;
  }

  /// Calls the handlers that are attached to this event. The library calls this function.
  /// Tests of handlers may call it, too.
  ///
  /// *Errors*: A handler that throws is detached, and the exception is logged to `log`.
  ///
  /// *Thread safety*: Any thread may call this function.
  /// @param log The logger of handlers that throw. Null means spdlog's default logger.
  void emit(const telemetry_event& happened, spdlog::logger* log = nullptr) noexcept;

 private:
  struct attached;
  using attached_list = std::vector<std::shared_ptr<attached>>;

  static constexpr std::uint32_t bit(event name) { return std::uint32_t{1} << static_cast<unsigned>(name); }

  template <class Predicate>
  bool detach_first(Predicate is_meant);
  std::shared_ptr<const attached_list> replace(attached_list next);
  void call(const std::shared_ptr<attached>& one, const telemetry_event& happened, spdlog::logger* log) noexcept;

  std::atomic<std::uint32_t> wanted_{0};
  std::mutex mutex_;
  std::shared_ptr<const attached_list> list_ = std::make_shared<const attached_list>();  // replaced, never changed
};

}  // namespace conn_grpc
