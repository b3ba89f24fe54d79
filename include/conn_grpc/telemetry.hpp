// SPDX-License-Identifier: BSL-1.0
#pragma once

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

enum class event {
  channel_get,                ///< a get of a `channel`, or of a pool
  channel_connected,          ///< the channel was published; `on_connect` follows
  channel_connection_failed,  ///< an attempt failed
  channel_disconnected,       ///< after the channel was withdrawn and `on_disconnect` called
  pool_get_channel,           ///< a get of a `pool`
  pool_status,                ///< when a pool starts, and every `pool_options::status_interval`
};

/// For `telemetry::attach_many`.
inline constexpr std::array all_events{
    event::channel_get,          event::channel_connected, event::channel_connection_failed,
    event::channel_disconnected, event::pool_get_channel,  event::pool_status};

/// "channel_get", "channel_connected", …
[[nodiscard]] CONN_GRPC_API std::string_view to_string(event name) noexcept;

/// What happened. The texts are valid during the handler's call only.
struct telemetry_event {
  event name;
  std::chrono::nanoseconds duration{};  ///< of the get; time to connect; time to fail; time the connection was up
  std::size_t expected_size = 0;        ///< pool_status: `pool_options::pool_size`
  std::size_t current_size = 0;         ///< pool_status: how many channels are connected
  /// Why the attempt failed, in gRPC's words; why the get failed; else empty. channel_disconnected: why the connection
  /// was lost (see `channel_status::last_error`), "stopped", or what `on_connect` threw.
  std::string_view error{};
  std::string_view channel_name{};  ///< empty for pool_status, and for a pool's get that found none, or a mock's
  std::string_view pool_name{};     ///< empty for a channel on its own
  /// The channel's gRPC target. Empty for pool_status, and for a get that found no channel, a mock's, or one that has
  /// no name.
  std::string_view address{};
};

/// Calls the handlers that are attached to an event. All pools and channels report to `global()`, unless their
/// `channel_options::telemetry` is another one.
///
/// All functions are thread-safe and may be called from inside a handler. Handlers are called in the order in which
/// they were attached: for a get by the thread that gets, for everything else on the strand of the channel or pool; so
/// by several threads at once, if several threads get. They should not block. The gets that a handler itself makes
/// are reported to no handler.
///
/// A handler that throws is detached, and logged as an error with its id and what it threw.
///
/// While nothing is attached to its events, a get pays one relaxed load for telemetry, and reads no clock.
class CONN_GRPC_API telemetry {
 public:
  using handler = std::function<void(const telemetry_event&)>;

  telemetry() = default;
  telemetry(const telemetry&) = delete;
  telemetry& operator=(const telemetry&) = delete;

  /// The same for the whole process. Never destroyed, and so neither is a handler that is still attached when the
  /// process ends: detach what has something to flush.
  [[nodiscard]] static const std::shared_ptr<telemetry>& global();

  /// False, and nothing done, when the id is taken.
  /// @throws boost::system::system_error with errc::invalid_options when the handler is empty.
  bool attach(std::string id, event name, handler called);

  /// One handler, one id, several events.
  bool attach_many(std::string id, std::span<const event> names, handler called);

  /// False when there is no such id. From its return on this thread does not call the handler any more, and no event
  /// that happens later does; a call by another thread that has begun may still be running.
  bool detach(std::string_view id);

  /// True if a handler is attached to any of these.
  [[nodiscard]] bool wants(std::same_as<event> auto... names) const noexcept {
    return (wanted_.load(std::memory_order_relaxed) & (bit(names) | ...)) != 0;
  }

  /// Calls the handlers that are attached to this event. The library does; so may tests of handlers.
  /// @param log where a handler that throws is logged. Null: spdlog's default logger.
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
  std::shared_ptr<const attached_list> list_ = std::make_shared<const attached_list>();  // never changed, but replaced
};

}  // namespace conn_grpc
