// SPDX-License-Identifier: BSL-1.0
#pragma once

/// @file
/// How long a channel waits between two attempts to connect.

#include <conn_grpc/detail/config.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace conn_grpc {

/// The limits of the wait between two attempts to connect. Valid if 0 < `min` <= `max`.
struct backoff_range {
  /// The shortest wait, in milliseconds. Above zero.
  std::chrono::milliseconds min{1'000};
  /// The longest wait, in milliseconds. Not below `min`.
  std::chrono::milliseconds max{30'000};
};

/// Decides how long a channel waits before its next attempt to connect.
///
/// Each channel has its own object. It gets a new object each time an exception of user
/// code restarts it.
///
/// *Errors*: An exception of either function restarts the channel. Too many exceptions
/// end `lifecycle::async_run` with errc::restart_limit.
///
/// *Thread safety*: Both functions are called only on the channel's strand, so they need
/// no lock. They must not block.
class CONN_GRPC_API backoff {
 public:
  virtual ~backoff();

  /// Returns the wait before the next attempt, counted from now. Zero or less means at
  /// once.
  ///
  /// Called once each time an attempt fails. Also called when a connection is lost before
  /// it has lived for `channel_options::stable_after`, which describes the exceptions.
  virtual std::chrono::milliseconds next() = 0;

  /// Called once each time an attempt succeeds, before the channel is published.
  virtual void reset() = 0;

 protected:
  /// For derived classes.
  backoff() = default;
  /// For derived classes.
  backoff(const backoff&) = default;
  /// For derived classes.
  backoff& operator=(const backoff&) = default;
};

/// Makes a policy of exponential backoff with jitter that compounds. Its seed is its own,
/// derived from std::random_device.
///
/// With c = min(previous delay, `max`/3), each delay is a random value from c to 3c. At
/// the beginning and after `reset()`, `min` counts as the previous delay. No delay is
/// below `min` or above `max`.
///
/// *Errors*: Throws boost::system::system_error with errc::invalid_options unless 0 <
/// `min` <= `max`.
///
/// *Thread safety*: Any thread may call this function.
[[nodiscard]] CONN_GRPC_API std::unique_ptr<backoff> exponential_backoff(backoff_range range);

/// Makes a policy of exponential backoff with jitter that compounds. Equal seeds give
/// equal delays.
///
/// With c = min(previous delay, `max`/3), each delay is a random value from c to 3c. At
/// the beginning and after `reset()`, `min` counts as the previous delay. No delay is
/// below `min` or above `max`.
///
/// *Errors*: Throws boost::system::system_error with errc::invalid_options unless 0 <
/// `min` <= `max`.
///
/// *Thread safety*: Any thread may call this function.
[[nodiscard]] CONN_GRPC_API std::unique_ptr<backoff> exponential_backoff(backoff_range range, std::uint64_t seed);

}  // namespace conn_grpc
