// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <conn_grpc/detail/config.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace conn_grpc {

/// The shortest and the longest wait between two attempts, in milliseconds; 0 < min <= max.
struct backoff_range {
  std::chrono::milliseconds min{1'000};
  std::chrono::milliseconds max{30'000};
};

/// Decides how long a channel waits before its next attempt.
///
/// One object per channel, and a new one each time user code that threw restarts the channel. Both functions are called
/// on that channel's strand only, so they need no lock; they should not block. What they throw restarts the channel
/// (see `lifecycle::async_run`).
class CONN_GRPC_API backoff {
 public:
  virtual ~backoff();

  /// The wait before the next attempt, counted from now. Called once each time connecting fails, and when a connection
  /// is lost before it has lived for `channel_options::stable_after` (see there for those that a server closes in
  /// order). Zero or less means at once.
  virtual std::chrono::milliseconds next() = 0;

  /// Called once each time connecting succeeds.
  virtual void reset() = 0;

 protected:
  backoff() = default;
  backoff(const backoff&) = default;
  backoff& operator=(const backoff&) = default;
};

/// Exponential backoff with compounding jitter: with c = min(current, max/3) the next delay is uniform in [c, 3c] and
/// becomes current; `reset()` returns to min. A delay never leaves [min, max].
///
/// Equal seeds give equal delays; without one, each object has its own, out of std::random_device.
/// @throws boost::system::system_error with errc::invalid_options unless 0 < min <= max.
[[nodiscard]] CONN_GRPC_API std::unique_ptr<backoff> exponential_backoff(backoff_range range);
[[nodiscard]] CONN_GRPC_API std::unique_ptr<backoff> exponential_backoff(backoff_range range, std::uint64_t seed);

}  // namespace conn_grpc
